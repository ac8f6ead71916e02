import decimal, fractions, hashlib

def work():
    total = sum(decimal.Decimal(i) / 7 for i in range(20_000))
    part = sum((fractions.Fraction(1, i) for i in range(1, 400)), fractions.Fraction())
    big = pow(3, 20_000) % 10**50
    digest = hashlib.sha256(b'x' * 2_000_000).hexdigest()
    assert total and part and big and digest
