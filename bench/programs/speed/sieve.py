def work():
    for _ in range(8):
        flags = [True] * 100_000
        for i in range(2, 317):
            if flags[i]:
                for j in range(i * i, 100_000, i):
                    flags[j] = False
