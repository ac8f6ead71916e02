import json

def work():
    data = [{'id': i, 'name': f'n{i}', 'values': [i / 3, i * 2, None, True]} for i in range(3000)]
    for _ in range(6):
        data = json.loads(json.dumps(data))
