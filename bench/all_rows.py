#!/usr/bin/env python3
"""Every row of docs/performance.md that one processor can give, into one JSON file.

  all_rows.py -o rows.json [--bin build/release/bin] [--rounds 3] [--only TEXT]
  all_rows.py -o old.json --bin old/bin -o new.json --bin new/bin       # two builds in turn, in the same minutes

Each round runs every benchmark once, one process after the other; with several builds they take turns benchmark by
benchmark, so that the machine's better and worse minutes meet all of them. What a benchmark gives in every round is
kept, because how far rounds differ is the noise that compare_rows.py needs. Rounds are written as they end: a run that
is stopped leaves the rows that it has. For measuring only; needs nothing but Python. bench/growth.py
has the rows of other sizes.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

SCRATCH = "a folder to write to"
NETWORKS = {  # what bench_network is asked for, two threads
    "medsegmamba": ["--network", "medsegmamba"],
    "lbmnet": ["--network", "lbmnet", "--patch", "64"],
    "hym_unet": ["--network", "hym_unet"],
    "vm_unet": ["--network", "vm_unet"],
    "unet": ["--network", "unet"],
    "segmamba": ["--network", "segmamba", "--patch", "64"],
    "swin_unetr": ["--network", "swin_unetr", "--patch", "64", "--settings", '{"dims": 3}'],
    "plain_unet, training": ["--network", "plain_unet", "--patch", "64", "--training-step"],
    "umamba_bot, training": ["--network", "umamba_bot", "--patch", "64", "--training-step"],
    "lbmnet, training": ["--network", "lbmnet", "--patch", "32", "--training-step"],
    "hym_unet, training": ["--network", "hym_unet", "--patch", "128", "--training-step", "--settings", '{"drop_path": 0}'],
    "vm_unet, training": ["--network", "vm_unet", "--patch", "128", "--training-step", "--settings", '{"drop_path": 0}'],
}


def benchmarks():
    yield "machine", ["bench_machine", "--json"]
    yield "scan", ["bench_selective_scan", "--json", "--threads", "2"]
    yield "long sequence", ["bench_selective_scan", "--json", "--threads", "2", "--length", "524288"]
    yield "depthwise", ["bench_depthwise_conv", "--json", "--threads", "2"]
    for name, words in NETWORKS.items():
        yield name, ["bench_network", *words, "--runs", "1", "--any-difference", "--json"]
    yield "augmentation", ["bench_augmentation", "--json", "--rounds", "2"]
    yield "pictures", ["bench_pictures", "--json"]
    yield "export", ["bench_export", "--json", "--size", "256", "256", "300"]
    yield "preparation", ["bench_export", "--json", "--size", "256", "256", "256", "--spacing", "2", "--order", "3", "--classes", "2"]
    yield "metrics", ["bench_metrics", "--json", "--threads", "2"]
    yield "files", ["bench_images", "both", "256", SCRATCH]
    yield "program start", None


def program_start(folder):
    """The least seconds of ten starts of `mambaseg --version`."""
    def once():
        begin = time.perf_counter()
        subprocess.run([f"{folder}/mambaseg", "--version"], stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - begin

    return [{"case": "mambaseg --version", "unit": "s", "ours": min(once() for _ in range(10)), "reference": None}]


def measured(folder, command):
    if command is None:
        return program_start(folder)
    with tempfile.TemporaryDirectory() as scratch:
        words = [scratch if word == SCRATCH else word for word in command[1:]]
        done = subprocess.run([f"{folder}/{command[0]}", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not done.stdout.strip():
        raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")
    if done.returncode != 0:  # the figures are there, the check failed
        print(f"{' '.join(command)}: {done.stderr.strip()}", file=sys.stderr)
    return json.loads(done.stdout)


def facts(folder):
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    version = subprocess.run([f"{folder}/mambaseg", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return {"processor": processor, "cores": os.cpu_count(), "system": platform.platform(), "program": version, "rows": {}}


def add(result, rows):
    for row in rows:
        kept = result["rows"].setdefault(row["case"] if row.get("threads", 2) == 2 else f"{row['case']}, {row['threads']} threads",
                                         {"unit": row["unit"], "ours": [], "reference": []})
        kept["ours"].append(row["ours"])
        if row.get("reference") is not None:
            kept["reference"].append(row["reference"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", action="append", required=True, help="file of a build, once for each --bin")
    parser.add_argument("--bin", action="append", help="folder of programs (build/release/bin)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="benchmarks whose name contains this: " + ", ".join(n for n, _ in benchmarks()))
    options = parser.parse_args()
    folders = options.bin or ["build/release/bin"]
    if len(folders) != len(options.output):
        parser.error(f"{len(folders)} times --bin and {len(options.output)} times --output; each build has one of both")
    results = [facts(folder) for folder in folders]
    chosen = [(name, command) for name, command in benchmarks() if options.only in name]
    if not chosen:
        parser.error(f"--only {options.only}: no benchmark has that in its name")
    failed = False
    for number in range(options.rounds):
        for name, command in chosen:
            for folder, result in zip(folders, results):
                print(f"round {number + 1} of {options.rounds}: {name} ({folder})", file=sys.stderr, flush=True)
                try:
                    add(result, measured(folder, command))
                except (OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as error:
                    failed = True
                    print(f"{name} ({folder}): {error}", file=sys.stderr)
        for path, result in zip(options.output, results):
            with open(path + ".part", "w") as out:
                json.dump(result, out, indent=1)
            os.replace(path + ".part", path)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
