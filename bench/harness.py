"""What the benchmarks share: programs that embed libbrig, peers, and taking turns."""
import pathlib
import subprocess
import sys
import time

here = pathlib.Path(__file__).resolve().parent
build, wasmtime, rounds = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
work = build / "bench"
HELLO = here / "programs/hello.py"


class Client:
    """A process that embeds libbrig: bench/client.c."""

    def __init__(self, name, templates, more="", after=""):
        config = work / f"{name}.yaml"
        config.write_text(f"wasi:\n  allowed_paths: []\n{more}templates:\n{templates}{after}")
        self.began = time.perf_counter()
        self.process = subprocess.Popen([work / "client", build / "brig-helper", config],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.opened = self.process.stdout.readline()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def fields(self, line):
        self.tell(line)
        return self.process.stdout.readline().split()

    def execute(self, line):
        return lambda: float(self.fields(line)[0])

    def load(self, callers, each, line):
        """(seconds, milliseconds of each call)"""
        self.tell(f"load {callers} {each} {line}")
        times = []
        while (words := self.process.stdout.readline().split())[0] != "total":
            times.append(float(words[0]))
        return float(words[1]) / 1e3, times

    def descendants(self):
        found, parents = [], [self.process.pid]
        while parents:
            parent = parents.pop()
            for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
                children = [int(pid) for pid in task.read_text().split()]
                found += children
                parents += children
        return found

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def command(*words):
    def measure():
        begun = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - begun) * 1e3
    return measure


def peer(server, line):
    def measure():
        server.stdin.write(line + "\n")
        server.stdin.flush()
        return float(server.stdout.readline())
    return measure


def interleaved(measures, count):
    """Milliseconds of each, one of each a round; the first, which fills caches, apart.
    The pause lets what works in the background be done, as between a user's calls."""
    times = {name: [] for name in measures}
    for number in range(count + 3):
        for name, measure in measures.items():
            time.sleep(0.005)
            took = measure()
            if number >= 3:
                times[name].append(took)
    return times


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def start_peers():
    python = subprocess.run([build / "brig", "guest", "path", "python"], check=True,
                            capture_output=True, text=True).stdout.strip()
    return python, subprocess.Popen([work / "peers/bin/python", here / "peers.py", python, work],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def part(number):
    return f"1/{1 / number:.1f}" if number < 1 else f"{number:.2f}"


def private_bytes(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines()
               if line.startswith("Private_"))
