"""Interleaves what is measured, keeps the raw data, prints medians and ratios."""
import csv
import pathlib
import statistics
import subprocess
import sys
import time

build = pathlib.Path(sys.argv[1])
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
hello = build / "bench/hello.wasm"
server = subprocess.Popen([build / "bench/inprocess", hello, build / "brig-helper"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def in_process(what):
    def measure():
        server.stdin.write(what + "\n")
        server.stdin.flush()
        return float(server.stdout.readline())
    return measure


def whole_command(*args):
    def measure():
        begun = time.perf_counter()
        subprocess.run(args, check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - begun) * 1e3
    return measure


code = "print('hello')"
native = "native python3 -I -S -c"
measured = {
    native: whole_command("/usr/bin/python3", "-I", "-S", "-c", code),
    "libbrig, small module": in_process("module"),
    "libbrig, CPython, not warmed": in_process("python"),
    "brig run, small module": whole_command(build / "brig", "run", hello),
    "brig python -c": whole_command(build / "brig", "python", "-c", code),
}
times = {name: [] for name in measured}
for name, measure in measured.items():
    measure()  # caches
for _ in range(rounds):
    for name, measure in measured.items():
        times[name].append(measure())
server.stdin.close()
server.wait()
with open(build / "bench/raw.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(times)
    writer.writerows(zip(*times.values()))
base = statistics.median(times[native])
print(f"print('hello'), {rounds} rounds, milliseconds")
print(f"{'':<32}{'median':>9}{'best':>9}{'of native':>11}")
for name, values in times.items():
    median = statistics.median(values)
    print(f"{name:<32}{median:>9.2f}{min(values):>9.2f}{median / base:>11.2f}")
