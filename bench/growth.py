#!/usr/bin/env python3
"""How time and memory grow with what there is to do: each size in a process of its own, on one thread and on two.

  growth.py -o growth.json [--bin build/release/bin] [--part scan|classes|volumes|networks|metrics|files ...]
  growth.py -o growth.json --table        # Markdown of what was measured

Each part takes at most three minutes of two cores and 8 GiB. Of what the file holds already the lesser seconds stay: run a part
twice, since the first process to use memory that the machine has lent elsewhere waits for it. Of a row with seconds T(n) and memory M(n) the table tells

  exponent    e of T ~ n^e on one thread between the two largest sizes (and over all), 1 being linear; of memory alike, of what
              exceeds a start of the program;
  s           share of T that stays serial, from Amdahl's law T(p) = T(1) (s + (1 - s) / p) and the two times of the largest size;
  64 threads  T(64) of that law. It knows no limit of memory: where the least bytes of a row are known, their time at the
              bandwidth of this machine (bench_machine, two threads) stands beside it, and the larger of both is the estimate
              for a machine whose memory is as fast.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Callable

SMALL_UNET = '{"features": [8, 16, 32], "convolutions": [2], "decoder_convolutions": [2], "deep_supervision": false}'
NETWORKS = {  # settings, edges
    "medsegmamba": ('{"widths": [16, 32, 64, 128], "token_width": 256, "layers": 3}', (32, 64, 96, 128)),
    "lbmnet": ('{"widths": [8, 16, 32, 64, 128]}', (32, 64, 96, 128)),
    "vm_unet": ("{}", (128, 256, 512, 1024)),
    "hym_unet": ("{}", (128, 256, 512, 1024)),
}


@dataclass
class Row:
    """Of the rows that a program prints, the one that begins with `begins` gives seconds; memory is the largest of the process."""

    name: str
    begins: str
    least_bytes: Callable[[float], float] = lambda size: 0  # that must go through memory


@dataclass
class Series:
    part: str
    unit: str
    sizes: tuple
    amount: Callable[[int], float]  # units in a size
    words: Callable[[int, int], list]  # program and arguments for a size and a number of threads
    rows: list
    threads: tuple = (1, 2)


def cube(edge):
    return edge ** 3


def all_series(folder):
    tokens = (4096, 16384, 65536, 262144, 1048576, 2097152)
    for way, values in (("forward", 3 * 64 + 2 * 16), ("backward", 5 * 64 + 4 * 16)):
        yield Series("scan", "tokens", tokens, float,
                     lambda n, threads, way=way: ["bench_selective_scan", "--json", "--length", str(n), "--threads", str(threads), "--filter", way],
                     [Row(f"scan {way}, D 64, N 16", "L ", lambda n, values=values: 4 * values * n)])
    # 27 patches of 128^3; a score is read before it is written, written, read, and added in half precision
    yield Series("classes", "classes", (2, 8, 32, 117), float,
                 lambda n, threads: ["bench_export", "--json", "--size", "256", "256", "256", "--classes", str(n), "--memory", "8", "--threads", str(threads)],
                 [Row("votes and export of 256^3", "export", lambda n: 16 * 27 * 128 ** 3 * n)])
    yield Series("volumes", "voxels", (64, 128, 256, 512), cube,
                 lambda n, threads: ["bench_export", "--json", "--size", *3 * [str(n)], "--network", "plain_unet", "--settings", SMALL_UNET, "--classes", "4",
                                     "--spacing", "2", "--order", "3", "--patch", "32", "--step", "1", "--memory", "4", "--threads", str(threads)],
                 [Row("preparation, cubic, to half the edge", "preparation"), Row("prediction, small U-Net there, scores back", "plain_unet")])
    for name, (settings, edges) in NETWORKS.items():
        axes = 3 if edges[0] == 32 else 2
        yield Series("networks", "voxels" if axes == 3 else "pixels", edges, lambda n, axes=axes: n ** axes,
                     lambda n, threads, name=name, settings=settings: ["bench_network", "--json", "--network", name, "--settings", settings, "--patch", str(n),
                                                                       "--precision", "fp32", "--no-reference", "--runs", "1", "--threads", str(threads)],
                     [Row(f"{name}{' (small)' if axes == 3 else ''}, a {'patch' if axes == 3 else 'picture'}", name)])
    yield Series("metrics", "voxels", (64, 128, 256, 512), cube,
                 lambda n, threads: ["bench_metrics", "--json", "--size", str(n), "--threads", str(threads)], [Row("all metrics, 32 labels", "")])
    yield Series("metrics", "labels", (2, 8, 32, 117), float,
                 lambda n, threads: ["bench_metrics", "--json", "--size", "256", "--labels", str(n), "--threads", str(threads)], [Row("all metrics of 256^3", "")])
    yield Series("files", "voxels", (64, 128, 256, 512), cube, lambda n, threads: ["bench_images", "both", str(n), folder],
                 [Row(f"{what} .nii.gz", what) for what in ("reading int16", "writing int16", "reading labels", "writing labels")], threads=(1,))


def printed(program, words):
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return json.loads(done.stdout)


def start_gib(program):
    """Memory of a program that does nothing: its libraries."""
    child = subprocess.Popen([program, "--help"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return usage.ru_maxrss / 2 ** 20


def point(rows, begins):
    """(seconds, GiB) of a row; where the program measured no memory for it, that of its largest."""
    seconds = next(row["ours"] for row in rows if row["unit"] == "s" and row["case"].startswith(begins))
    memory = [row for row in rows if row["unit"] == "GiB" and "largest memory" in row["case"]]
    return seconds, max(row["ours"] for row in memory if row["case"].startswith(begins) or len(memory) == 1)


def measure(result, folder, parts):
    with tempfile.TemporaryDirectory() as scratch:
        for series in all_series(scratch):
            if series.part not in parts:
                continue
            for size in series.sizes:
                for threads in series.threads:
                    program, *words = series.words(size, threads)
                    rows, start = printed(f"{folder}/{program}", words), start_gib(f"{folder}/{program}")
                    for row in series.rows:
                        seconds, gib = point(rows, row.begins)
                        amount = series.amount(size)
                        kept = result["rows"].setdefault(f"{row.name}; {series.unit}", {"unit": series.unit, "points": {}})
                        before = kept["points"].get(f"{size}, {threads}", {"s": seconds})
                        kept["points"][f"{size}, {threads}"] = {"n": amount, "threads": threads, "size": size, "s": min(seconds, before["s"]),
                                                                "GiB": gib, "start_GiB": start, "least_bytes": row.least_bytes(amount)}
                        print(f"{row.name}: {size} ({series.unit} {amount:.3g}), {threads} threads: {seconds:.4g} s, {gib:.2f} GiB",
                              file=sys.stderr, flush=True)
                    yield  # a point is whole


def slope(points, value):
    """Least-squares exponent of `value` over n."""
    logs = [(math.log(p["n"]), math.log(value(p))) for p in points if value(p) > 0]
    if len(logs) < 2:
        return float("nan")
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def text(seconds):
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def table(result):
    bandwidth = result["machine"]["GB/s"] * 1e9
    yield "| what | sizes | one thread: first, last | two threads | exponent of time: end (all) | memory: last, exponent | serial share | 64 threads | memory's bound |"
    yield "|" + 9 * "---|"
    for name, row in result["rows"].items():
        one, two = ([p for p in row["points"].values() if p["threads"] == threads] for threads in (1, 2))
        one.sort(key=lambda p: p["n"])
        first, last = one[0], one[-1]
        pair = next((p for p in two if p["size"] == last["size"]), None)
        serial = min(1, max(0, 2 * pair["s"] / last["s"] - 1)) if pair else 1
        after = text(last["s"] * (serial + (1 - serial) / 64)) if pair else ""
        bound = text(last["least_bytes"] / bandwidth) if last["least_bytes"] else ""
        what, unit = name.split("; ")
        edge = {"voxels": "^3", "pixels": "^2"}.get(unit, "")
        sizes = f"{first['size']:,}{edge} to {last['size']:,}{edge}{'' if edge else ' ' + unit}"
        yield (f"| {what} | {sizes} | {text(first['s'])}, {text(last['s'])} | {text(pair['s']) if pair else ''} "
               f"| {slope(one[-2:], lambda p: p['s']):.2f} ({slope(one, lambda p: p['s']):.2f}) "
               f"| {last['GiB']:.2f} GiB, {slope(one[-2:], lambda p: p['GiB'] - p['start_GiB']):.2f} | {f'{serial:.0%}' if pair else 'all'} | {after} | {bound} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = list(dict.fromkeys(series.part for series in all_series("")))
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--part", nargs="+", choices=parts, default=parts)
    parser.add_argument("--table", action="store_true", help="measure nothing, print what the file holds")
    options = parser.parse_args()
    result = {"rows": {}}
    if os.path.exists(options.output):
        with open(options.output) as file:
            result = json.load(file)
    if not options.table:
        machine = printed(f"{options.bin}/bench_machine", ["--json"])
        before = result.get("machine", {})
        result["machine"] = {row["unit"]: max(row["ours"], before.get(row["unit"], 0)) for row in machine if row["threads"] == 2}
        for _ in measure(result, options.bin, options.part):
            with open(options.output + ".part", "w") as file:
                json.dump(result, file, indent=1)
            os.replace(options.output + ".part", options.output)
    print("\n".join(table(result)))


if __name__ == "__main__":
    main()
