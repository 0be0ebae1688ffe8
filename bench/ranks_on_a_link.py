#!/usr/bin/env python3
"""Training steps of two ranks over a link of given speed, as root on Linux:

    unshare --net python3 bench/ranks_on_a_link.py build/release/bin/bench_ranks

In a network of its own the loopback is limited by `tc` (iproute2). Both directions of it share the limit, so a link of R bit/s in
each direction is a loopback of 2 R. Each rank has one core. Prints a table in Markdown. For measuring only.
"""
import json
import os
import subprocess
import sys

CASES = [["--network", "hym_unet", "--shape", "4,3,256,256"],
         ["--network", "medsegmamba", "--shape", "1,1,64,64,64"],
         ["--network", "lbmnet", "--shape", "1,1,64,64,64", "--runs", "2"]]
SPEEDS = [("no limit", None), ("10 Gbit/s", 20), ("1 Gbit/s", 2)]


def limited_to(gbit):
    subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], stderr=subprocess.DEVNULL)
    if gbit:
        subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", f"{gbit}gbit", "burst", "4mb", "latency", "50ms"],
                       check=True)


def measured(program, words, port):
    ranks = []
    for rank in range(2):
        place = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                 "GLOO_SOCKET_IFNAME": "lo"}
        ranks.append(subprocess.Popen(["taskset", "-c", str(rank), program, *words], stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, **{key: str(value) for key, value in place.items()}}))
    said = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        sys.exit("a rank failed")
    return json.loads(said[0])


def main():
    program = sys.argv[1]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print("| network, batch of a rank | gradients | link | step alone | sums alone | step with sums | hidden |\n|---|---|---|---|---|---|---|")
    port = 29700
    for words in CASES:
        for name, gbit in SPEEDS:
            limited_to(gbit)
            port += 10
            row = measured(program, words, port)
            shown = row["step_s"] + row["sum_s"] - row["step_with_sums_s"]
            print(f"| {row['network']} {'x'.join(map(str, row['shape']))} | {row['gradient_bytes'] / 1e6:.0f} MB | {name} | {row['step_s']:.2f} s | "
                  f"{row['sum_s']:.2f} s | {row['step_with_sums_s']:.2f} s | {max(0, min(1, shown / row['sum_s'])):.0%} |", flush=True)
    limited_to(None)


if __name__ == "__main__":
    main()
