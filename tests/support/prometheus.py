"""Checks the Prometheus text format 0.0.4, as strictly as its own linter: prometheus.py < TEXT

check(text) gives {name: {labels: value}} or raises ValueError with the line."""
import math
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
TYPES = {"counter", "gauge", "histogram"}


def family(name, types):
    """The metric that a sample belongs to."""
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and types.get(base) == "histogram":
            return base
    return name


def check_histogram(name, samples):
    """Each of its series: rising bounds, counts that do not fall, +Inf, _sum and _count."""
    series = {}
    for labels, value in samples[name + "_bucket"].items():
        rest = [label for label in labels if not label.startswith("le=")]
        bound = float(next(label for label in labels if label.startswith("le="))[4:-1])
        series.setdefault(tuple(rest), []).append((bound, value))
    for labels, buckets in series.items():
        bounds, counts = zip(*buckets)
        if list(bounds) != sorted(set(bounds)) or not math.isinf(bounds[-1]):
            raise ValueError(f"{name}{labels}: bounds {bounds}")
        if list(counts) != sorted(counts) or counts[-1] != samples[name + "_count"][labels]:
            raise ValueError(f"{name}{labels}: counts {counts}")
        if labels not in samples[name + "_sum"]:
            raise ValueError(f"{name}{labels}: no sum")


def check(text):
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    types, helped, samples, last = {}, set(), {}, None
    for line in text[:-1].split("\n"):
        header = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
        sample = SAMPLE.fullmatch(line)
        if header and header[1] == "HELP" and header[2] not in helped:
            helped.add(header[2])
        elif header and header[1] == "TYPE" and header[3] in TYPES and header[2] not in types:
            types[header[2]], last = header[3], header[2]
        elif sample and family(sample[1], types) == last and last in helped:
            labels = tuple(re.findall(LABEL, sample[2] or ""))
            names = [label.split("=")[0] for label in labels]
            known = samples.setdefault(sample[1], {})
            if labels in known or len(names) != len(set(names)):
                raise ValueError(f"twice: {line}")
            if types[last] == "counter" and not sample[1].endswith("_total"):
                raise ValueError(f"a counter ends in _total: {line}")
            known[labels] = float(sample[3])
        else:
            raise ValueError(f"not of the format, or out of place: {line!r}")
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return samples


if __name__ == "__main__":
    check(sys.stdin.read())
