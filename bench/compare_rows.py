#!/usr/bin/env python3
"""Which rows of two files of all_rows.py differ by more than their noise.

  compare_rows.py before.json after.json [--noise 0.05] [--markdown] [--all]

A row's figure is the best of its rounds; its noise is how far its second best round lies from the best, but at least
--noise. A row is slower (or larger) where the figures differ by more than the noise of both together. The exit code is 1
where one is.
"""
import argparse
import json
import sys

LESS_IS_BETTER = ("s", "ms", "GiB", "MiB")


def figure(row):
    """(best, noise as a part of it)."""
    values = sorted(row["ours"], reverse=row["unit"] not in LESS_IS_BETTER)
    return values[0], abs(values[min(1, len(values) - 1)] / values[0] - 1)


def compared(before, after, floor):
    """(row, unit, before, after, how many times better, noise) of the rows that both have."""
    for name, row in before["rows"].items():
        other = after["rows"].get(name)
        if other is None or not row["ours"] or not other["ours"]:
            continue
        (old, old_noise), (new, new_noise) = figure(row), figure(other)
        gain = old / new if row["unit"] in LESS_IS_BETTER else new / old
        yield name, row["unit"], old, new, gain, max(floor, old_noise + new_noise)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--noise", type=float, default=0.05, help="least noise, as a part")
    parser.add_argument("--all", action="store_true", help="also rows that do not differ")
    parser.add_argument("--markdown", action="store_true", help="a table with all rows")
    options = parser.parse_args()
    with open(options.before) as one, open(options.after) as two:
        before, after = json.load(one), json.load(two)
    if before["processor"] != after["processor"]:
        print(f"not one machine: {before['processor']}, {after['processor']}", file=sys.stderr)
    rows = list(compared(before, after, options.noise))
    if not rows:
        sys.exit(f"{options.before} and {options.after} have no row in common")
    if options.markdown:
        print("| case | unit | before | after | gain |\n|---|---|---|---|---|")
    worse = 0
    for name, unit, old, new, gain, noise in rows:
        verdict = "slower" if gain < 1 / (1 + noise) else "faster" if gain > 1 + noise else ""
        if unit.endswith("iB"):
            verdict = {"slower": "larger", "faster": "smaller"}.get(verdict, "")
        worse += verdict in ("slower", "larger")
        if options.markdown:
            print(f"| {name} | {unit} | {old:.3g} | {new:.3g} | {gain:.2f}{' (noise)' if not verdict else ''} |")
        elif verdict or options.all:
            print(f"{verdict or 'equal':8} {gain:5.2f}x (noise {noise:.0%})  {name}: {old:.4g} -> {new:.4g} {unit}")
    if not options.markdown:
        print(f"{len(rows)} rows in common, {worse} slower or larger beyond their noise")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
