"""Which folder of src/ may include which: include_direction.py ROOT"""
import pathlib
import re
import sys

MAY = {
    "base": "base",
    "config": "base config",
    "limits": "base limits",
    "wasi": "base wasi",
    "engine": "base wasi engine",
    "jail": "base jail",
    "pool": "base wasi engine jail pool",
    "guest": "base guest",
    "session": "base config sandbox session",
    "tool": "base config guest sandbox session tool",
    "sandbox": "base config limits guest pool sandbox engine/end.h engine/facts.h jail/walls.h",
    "rpc": "base rpc",
    "server": "base config guest sandbox session tool rpc server",
    "cli": "base config guest rpc server cli sandbox/turn.h",
}

root = pathlib.Path(sys.argv[1])
wrong = []
for path in sorted((root / "src").rglob("*.[ch]")):
    folder = path.relative_to(root / "src").parts[0]
    allowed = MAY.get(folder, "").split()
    text = path.read_text()
    for name in re.findall(r'^#include "([^"]+)"', text, re.M):
        if name.split("/")[0] not in allowed and name not in allowed:
            wrong.append(f"{path.relative_to(root)} includes {name}")
    if folder != "engine" and re.search(r"^#include <(wasm|wasmtime)", text, re.M):
        wrong.append(f"{path.relative_to(root)} knows the engine")
print("\n".join(wrong))
sys.exit(bool(wrong))
