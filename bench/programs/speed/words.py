def work():
    text = ' '.join(f'word{i * 7919 % 997}' for i in range(60_000))
    for _ in range(4):
        counts = {}
        for word in text.split():
            counts[word] = counts.get(word, 0) + 1
        sorted(counts.items(), key=lambda item: (-item[1], item[0]))
