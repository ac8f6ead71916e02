def work():
    def place(row, columns, left, right):
        if row == 8:
            return 1
        return sum(place(row + 1, columns | 1 << c, (left | 1 << c) << 1, (right | 1 << c) >> 1)
                   for c in range(8) if not (columns | left | right) >> c & 1)
    for _ in range(6):
        assert place(0, 0, 0, 0) == 92
