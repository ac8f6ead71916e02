def work():
    total = 0
    for y in range(60):
        for x in range(60):
            c, z = complex(x / 30 - 1.5, y / 30 - 1), 0j
            for i in range(60):
                z = z * z + c
                if abs(z) > 2:
                    break
            total += i
