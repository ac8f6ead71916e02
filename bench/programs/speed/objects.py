class Account:
    def __init__(self, balance):
        self.balance = balance

    def pay(self, other, amount):
        if amount > self.balance:
            raise ValueError
        self.balance -= amount
        other.balance += amount

def work():
    accounts = [Account(100) for _ in range(50)]
    for i in range(150_000):
        try:
            accounts[i % 50].pay(accounts[i * 7 % 50], i % 13)
        except ValueError:
            pass
