def work():
    for _ in range(12):
        parts = []
        for i in range(12_000):
            parts.append(f'{i:05d}'.replace('0', 'o').upper()[::-1])
        text = ','.join(parts)
        assert len(text.split(',')) == 12_000
