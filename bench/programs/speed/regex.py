import re

def work():
    text = ' '.join(f'user{i}@host{i % 50}.example.org {i}-{i % 12}-{i % 28}' for i in range(6000))
    for pattern in r'[\w.]+@[\w.]+\.org', r'(\d+)-(\d+)-(\d+)', r'\buser\d*7\b':
        for _ in range(3):
            re.findall(pattern, text)
