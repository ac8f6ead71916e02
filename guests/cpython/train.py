"""What programs do, for what they come to in CPython to be counted (branches.py): a little of
each kind, none of it by chance."""
import base64, bisect, collections, copy, csv, dataclasses, datetime, decimal, enum, fractions
import functools, hashlib, heapq, html, io, itertools, json, math, operator, re, statistics
import string, struct, textwrap, traceback, zlib

PROGRAMS = (
    "print('a', len([1]), end='')",
    "y = 7",
    "y = [1]; y *= 2; y",
    "import math\nprint(math.sqrt(2), f'{math.pi:.3f}')",
    "names = ['b', 'a']\nfor i, name in enumerate(sorted(names)):\n    print(i, name.upper())",
    "total = sum(n * n for n in range(10) if n % 2)\nprint(total)",
    "def power(n, m=2):\n    return n if m < 2 else n * power(n, m - 1)\nprint(power(8))",
    "class P:\n    def __init__(self, x):\n        self.x = x\n"
    "    def __repr__(self):\n        return f'P({self.x})'\nprint([P(1), P(2)])",
    "try:\n    {}['a']\nexcept KeyError as e:\n    print('missing', e)",
    "d = {c: ord(c) for c in 'letters'}\nprint(d, sorted(d.items(), key=lambda kv: -kv[1])[:2])",
    "import json\nprint(json.dumps({'a': [1, 2.5, None, True], 'b': 'text'}, indent=1))",
    "import re\nprint(re.findall(r'(\\w+)@(\\w+)\\.com', 'me@home.com, you@work.com'))",
    "import sys\nprint(sys.argv, file=sys.stderr)",
    "with open('/nowhere') as f:\n    pass",
    "1 / 0",
    "print(undefined)",
    "if True\n    pass",
    "import unknown_module",
    "from dataclasses import dataclass\n@dataclass\nclass C:\n    a: int\n    b: str = ''\nprint(C(1))",
    "async def f():\n    return 1\nimport asyncio\nprint(asyncio.run(f()))",
    "s = '''\ntext of\nmany lines\n'''\nprint(s.strip().split('\\n'), s.count('n'))",
    "matrix = [[i * j for j in range(4)] for i in range(4)]\nprint([list(r) for r in zip(*matrix)])",
    "while True:\n    x = [1, 2, 3][-1]\n    if x == 3:\n        break\nelse:\n    pass\nassert x == 3, 'no'",
    "import csv, io\nprint(list(csv.DictReader(io.StringIO('a,b\\n1,2\\n3,4\\n'))))",
    "from datetime import datetime, timedelta\nprint((datetime(2024, 1, 31) + timedelta(1)).isoformat())",
    "print(*map(str, filter(None, [0, 1, 2])), sep=', ')\nlambda x, *y, z=1, **w: x",
    "match (1, 'a'):\n    case (int(x), str(y)):\n        print(x, y)\n    case _:\n        pass",
    "g = (i for i in range(3))\nprint(next(g), list(g), {*'aab'}, b'ab'.hex(), 2**100 % 97, -7 // 3)",
)


def run(source):
    try:
        exec(source, {'__name__': '__main__'})
    except Exception:
        traceback.print_exc()


class Node:
    def __init__(self, key, left=None, right=None):
        self.key, self.left, self.right = key, left, right

    def insert(self, key):
        side = 'left' if key < self.key else 'right'
        below = getattr(self, side)
        if below is None:
            setattr(self, side, Node(key))
        else:
            below.insert(key)

    def __iter__(self):
        if self.left:
            yield from self.left
        yield self.key
        if self.right:
            yield from self.right


@dataclasses.dataclass(order=True)
class Item:
    price: float
    name: str = dataclasses.field(compare=False)
    tags: list = dataclasses.field(default_factory=list, compare=False)


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


def numbers(count):
    """The same ones each time."""
    value = 12345
    for _ in range(count):
        value = (value * 1103515245 + 12345) % 2**31
        yield value


def data():
    values = list(numbers(400))
    tree = Node(values[0])
    for value in values[1:]:
        tree.insert(value)
    assert list(tree) == sorted(values)
    counted = collections.Counter(value % 7 for value in values)
    grouped = collections.defaultdict(list)
    for value in values:
        grouped[value % 5].append(value)
    heap = values[:]
    heapq.heapify(heap)
    [heapq.heappop(heap) for _ in range(20)]
    [bisect.bisect(sorted(values), value) for value in values[:20]]
    queue = collections.deque(values, maxlen=50)
    queue.rotate(3)
    items = sorted(Item(value / 100, f'item {value}') for value in values[:50])
    matrix = [[(i * j) % 10 for j in range(12)] for i in range(12)]
    [[sum(a * b for a, b in zip(row, column)) for column in zip(*matrix)] for row in matrix]
    statistics.mean(values), statistics.stdev(values), statistics.median(values)
    copy.deepcopy({'a': [1, (2, {3})], 'items': items[:3]})
    list(itertools.combinations(values[:6], 3)), list(itertools.accumulate(values[:9]))
    functools.reduce(operator.xor, values), max(values, key=lambda value: value % 100)
    struct.unpack('<IHb', struct.pack('<IHb', 1, 2, 3)), Colour(1).name, Colour['GREEN']
    primes = [n for n in range(2, 200) if all(n % p for p in range(2, int(n**.5) + 1))]
    return counted, grouped, primes


def text():
    words = [''.join(string.ascii_lowercase[value // 3**i % 26] for i in range(5)) for value in numbers(300)]
    whole = textwrap.fill(' '.join(words), 60)
    re.sub(r'([aeiou])(\w)', lambda found: found[2] + found[1], whole)
    re.compile(r'^(?P<a>\w+)\s+(\d+|[a-f]+)?', re.M).findall(whole)
    [word.title().center(20, '*').replace('a', 'b').split('b') for word in words]
    '%s %d %.2f' % ('a', 3, 1.5), '{:>10} {!r:5} {:,}'.format('x', 'y', 1234567), f'{3.14159:10.3f}{255:#x}'
    csv.writer(io.StringIO()).writerows([words[:5], range(5)])
    document = {'words': words[:100], 'numbers': [1, 2.5, -3e10, None, True], 'deep': [[{'a': 'é\n"'}]]}
    for indent in None, 2:
        assert json.loads(json.dumps(document, indent=indent)) == document
    html.escape('<a>&'), base64.b64encode(whole.encode()), hashlib.sha256(whole.encode()).hexdigest()
    zlib.decompress(zlib.compress(whole.encode()))
    return whole.encode('utf-8').decode(), 'é€'.encode(), str(b'ab'), repr('a\n')


def arithmetic():
    x = y = 0.0
    for i in range(2000):
        x += math.sin(i) * 0.5
        y = (y + x * i) % 1000
        if i & 3 == 0:
            x = -x
    big = 3**400
    str(big), big // 7**50, math.gcd(big, 6**100), int('123' * 20), round(x, 3), divmod(17, 5)
    decimal.Decimal('1.10') * 3 / 7, fractions.Fraction(3, 4) + fractions.Fraction(1, 6)
    datetime.datetime(2024, 2, 29).strftime('%Y-%m-%d'), datetime.date.fromisoformat('2024-03-01')
    return x, y


for _ in range(3):
    for program in PROGRAMS:
        run(program)
    data(), text(), arithmetic()
