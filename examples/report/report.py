"""A report on the chemical elements: reads the table on standard input."""
import csv
import statistics
import sys
from collections import Counter, defaultdict

rows = list(csv.DictReader(sys.stdin))
by_group = defaultdict(list)
for row in rows:
    by_group[row["kind"]].append(row)

print(f"{len(rows)} elements in {len(by_group)} kinds\n")
print(f"{'kind':<22}{'count':>6}{'lightest':>10}{'heaviest':>10}{'median mass':>13}")
for kind, members in sorted(by_group.items(), key=lambda item: -len(item[1])):
    masses = [float(row["mass"]) for row in members]
    lightest = min(members, key=lambda row: float(row["mass"]))["symbol"]
    heaviest = max(members, key=lambda row: float(row["mass"]))["symbol"]
    print(f"{kind:<22}{len(members):>6}{lightest:>10}{heaviest:>10}{statistics.median(masses):>13.3f}")

numbers = [float(row["number"]) for row in rows]
masses = [float(row["mass"]) for row in rows]
slope, offset = statistics.linear_regression(numbers, masses)
print(f"\nmass is about {slope:.2f} a proton (correlation "
      f"{statistics.correlation(numbers, masses):.4f})")
letters = Counter(row["symbol"][0] for row in rows).most_common(3)
print("commonest first letters: " + ", ".join(f"{letter} ({count})" for letter, count in letters))
