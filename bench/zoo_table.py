#!/usr/bin/env python3
"""Every network in one table: parameters, arithmetic, seconds and memory of a prediction beside plain LibTorch.

  zoo_table.py [--bin build/release/bin] [--edge2d 256] [--edge3d 96] [--threads 2] [--runs 1] [--resume FILE] [NAME...]

One image of EDGE2D^2 or patch of EDGE3D^3 at the paper's settings, random weights: `mambaseg networks NAME --cost` and
`bench_network --network NAME`, one process after the other. Prints Markdown. With --resume measurements go to a file of JSON
lines as they are made, and those that are there are not repeated. A star marks scores that differ from LibTorch's by more than
the precision explains: random weights, norms that divide by next to nothing. For measuring only; needs nothing but Python.
"""
import argparse
import json
import os
import subprocess
import sys

# Networks whose weights belong to the size of the image, which this setting tells them.
MADE_FOR_A_SIZE = {"umamba_enc": "patch", "xlstm_unet_enc": "patch", "lm2net": "patch"}


def call(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
    return done.stdout, done.stderr


def measured(options, network):
    name = network["name"]
    described = json.loads(call([f"{options.bin}/mambaseg", "networks", name, "--json"])[0])
    defaults = {setting["name"]: setting["default"] for setting in described["settings"]}
    axes = defaults.get("dims", network["dims"][0])
    edges = [options.edge3d if axes == 3 else options.edge2d] * axes
    size = "x".join(map(str, edges))
    settings = {MADE_FOR_A_SIZE[name]: edges} if name in MADE_FOR_A_SIZE else {}
    changes = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    row = {"name": name, "size": size}
    with_cost = json.loads(call([f"{options.bin}/mambaseg", "networks", name, "--cost", size, "--json", *changes])[0])
    row.update({key: with_cost[key] for key in ("parameters", "multiply_adds", "state_updates")})
    times, differences = call([f"{options.bin}/bench_network", "--network", name, "--settings", json.dumps(settings), "--patch",
                             *size.split("x"), "--threads", str(options.threads), "--runs", str(options.runs), "--any-difference", "--json"])
    row["differs"] = [words[3] for words in map(str.split, differences.splitlines()) if "differs" in words]
    for one in json.loads(times):
        precision = "bf16" if " bf16" in one["case"] else "fp32"
        kind = "memory" if "memory" in one["case"] else "time"
        row[f"{precision}_{kind}"] = one["ours"]
        row[f"libtorch_{kind}"] = one["reference"]
        row["target"] = one["target"]
    return row


def markdown(rows):
    print("| network | image | parameters, M | GMAC | G state updates | fp32 s | bf16 s | LibTorch fp32 s | fp32 GiB | bf16 GiB | LibTorch GiB |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"`{row['name']}`", row["size"], f"{row['parameters'] / 1e6:.2f}", f"{row['multiply_adds'] / 1e9:.2f}",
                 f"{row['state_updates'] / 1e9:.2f}" if row["state_updates"] else "–"]
        for key in ("fp32_time", "bf16_time", "libtorch_time", "fp32_memory", "bf16_memory", "libtorch_memory"):
            mark = "*" if key.endswith("_time") and key[:4] in row.get("differs", []) else ""
            cells.append(f"{row[key]:.2f}{mark}" if row.get(key) is not None else "–")
        print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--edge2d", type=int, default=256)
    parser.add_argument("--edge3d", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--resume")
    options = parser.parse_args()
    networks = json.loads(call([f"{options.bin}/mambaseg", "networks", "--json"])[0])
    known = {}
    if options.resume and os.path.exists(options.resume):
        with open(options.resume) as lines:
            known = {row["name"]: row for row in map(json.loads, lines)}
    rows, failed = [], False
    for network in networks:
        if options.names and network["name"] not in options.names:
            continue
        row = known.get(network["name"])
        if row is None:
            try:
                row = measured(options, network)
            except RuntimeError as error:
                print(f"{network['name']}: {error}", file=sys.stderr)
                failed = True
                continue
            if options.resume:
                with open(options.resume, "a") as out:
                    out.write(json.dumps(row) + "\n")
        rows.append(row)
    markdown(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
