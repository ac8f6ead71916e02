def work():
    bodies = [([float(i), i * 0.5, -i * 0.25], [0.01 * i, 0.0, 0.02], 1.0 / (i + 1)) for i in range(5)]
    for _ in range(6000):
        for i, (p, v, m) in enumerate(bodies):
            for q, w, n in bodies[i + 1:]:
                dx, dy, dz = p[0] - q[0], p[1] - q[1], p[2] - q[2]
                pull = 0.001 / (dx * dx + dy * dy + dz * dz + 0.01) ** 1.5
                v[0] -= dx * n * pull; v[1] -= dy * n * pull; v[2] -= dz * n * pull
                w[0] += dx * m * pull; w[1] += dy * m * pull; w[2] += dz * m * pull
        for p, v, _m in bodies:
            p[0] += 0.001 * v[0]; p[1] += 0.001 * v[1]; p[2] += 0.001 * v[2]
