"""`mambaseg train` as several processes on this machine, started as torchrun starts them: the weights are those of one
process that adds up the same batches, and when a rank is lost the others say so.

  ranks_test.py path/to/mambaseg
"""
import array
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import slurm

PROGRAM = None

RECIPE = """
task = "pictures"
[network]
%(network)s
[plan]
size = [32, 32]
channels = 3
structure = "disc"
[data.dataset]
layout = "masks"
folder = "%(data)s"
[data.split]
validation_fraction = 0.2
test_fraction = 0
[augment]
flip = [0.5, 0.5]
[loss]
name = "dice_bce_boundary"
boundary_weight = %(boundary)g
[training]
epochs = %(epochs)d
batch = %(batch)d
patches_per_step = %(step)d
optimizer = "%(optimizer)s"
learning_rate = %(rate)g
seed = 3
"""


def write_bmp(path, size, pixel):
    """24 bits, rows from the bottom; `pixel(x, y)` gives (r, g, b)."""
    rows = b"".join(bytes(v for x in range(size) for v in reversed(pixel(x, y))) for y in reversed(range(size)))
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54)
                     + struct.pack("<IiiHHIIiiII", 40, size, size, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + rows)


def draw_dataset(folder, count=20, size=32):
    """Discs of several radii and places on noise that a formula draws."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        cx, cy, r = 8 + number * 7 % 16, 8 + number * 5 % 16, 4 + number % 5
        inside = lambda x, y: (x - cx) ** 2 + (y - cy) ** 2 < r * r
        noise = lambda x, y: (x * 37 + y * 91 + number * 53) % 61
        write_bmp(folder / "images" / f"{number:02}.bmp", size,
                  lambda x, y: (150 + noise(x, y), 60, 60) if inside(x, y) else (60 + noise(x, y), 90, 60))
        write_bmp(folder / "masks" / f"{number:02}.bmp", size, lambda x, y: (255,) * 3 if inside(x, y) else (0,) * 3)


def weights(path):
    """name -> float32 values of a .safetensors file, without its moving statistics."""
    content = path.read_bytes()
    length, = struct.unpack("<Q", content[:8])
    tensors = {}
    for name, entry in json.loads(content[8:8 + length]).items():
        if name != "__metadata__" and entry["dtype"] == "F32" and "running_" not in name:
            begin, end = (8 + length + at for at in entry["data_offsets"])
            tensors[name] = array.array("f", content[begin:end])
    return tensors


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mambaseg_ranks_"))
        draw_dataset(cls.folder / "data")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def recipe(self, name, optimizer="adamw", batch=2, step=4, rate=1e-2, epochs=2,
               network='name = "unet"\nwidths = [4, 8, 8]', more="", boundary=1):
        path = self.folder / f"{name}.toml"
        path.write_text(RECIPE % {"data": self.folder / "data", "optimizer": optimizer, "batch": batch, "step": step,
                                  "rate": rate, "epochs": epochs, "network": network,
                                  "boundary": boundary} + more)
        return path

    def start(self, size, words, patience=60, words_of_rank={}):
        port = slurm.free_port()
        started = []
        for rank in range(size):
            own = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size,
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} if size > 1 else {}
            started.append(subprocess.Popen(
                [PROGRAM, "train", *map(str, words_of_rank.get(rank, words)), "--threads", "1", "--patience", str(patience)],
                env={**os.environ, **{key: str(value) for key, value in own.items()}},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started

    def finish(self, processes, codes=None):
        ends = [process.communicate(timeout=300) for process in processes]
        for rank, (process, (_, err)) in enumerate(zip(processes, ends)):
            if codes is None:
                self.assertEqual(process.returncode, 0, f"rank {rank}: {err}")
        return [err for _, err in ends]

    def trained(self, name, size, recipe, *more):
        run = self.folder / name
        self.finish(self.start(size, [recipe, "-o", run, *more]))
        return run

    def assert_same_bits(self, one, two):
        ours, theirs = weights(one / "last.safetensors"), weights(two / "last.safetensors")
        self.assertEqual(ours.keys(), theirs.keys())
        for name in ours:
            self.assertEqual(ours[name], theirs[name], name)

    def journal(self, run):
        return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]

    def test_two_ranks_give_the_bits_of_one(self):
        # Of the four samples of a step each rank has two, which one process takes as its batches and adds up.
        for optimizer in ("sgd", "adamw"):
            recipe = self.recipe(optimizer, optimizer)
            alone = self.trained(f"{optimizer}_1", 1, recipe)
            together = self.trained(f"{optimizer}_2", 2, recipe)
            self.assert_same_bits(alone, together)
            steps = [[line["loss"] for line in self.journal(run) if line["event"] == "step"] for run in (alone, together)]
            self.assertEqual(len(steps[0]), 8)
            for ours, theirs in zip(*steps):
                self.assertAlmostEqual(ours, theirs, delta=1e-12)  # sums of doubles

    def test_deep_supervision_gives_the_bits_of_one(self):
        recipe = self.recipe("deep", network='name = "unet_pp"\nwidths = [4, 4, 8, 8, 8]\ndeep_supervision = true')
        self.assert_same_bits(self.trained("deep_1", 1, recipe), self.trained("deep_2", 2, recipe))

    def test_more_ranks_and_uneven_steps_differ_by_the_rounding_of_sums(self):
        # Steps of six single samples of 16: the last has four. Four ranks add ((a+b) + (c+d)) where one adds in order,
        # 5 units of 6e-8 of the sum of sizes at most (tests/train), of which a mean gradient may be a thirtieth; three steps.
        recipe = self.recipe("uneven", "sgd", batch=1, step=6, epochs=1)
        alone = weights(self.trained("uneven_1", 1, recipe) / "last.safetensors")
        short = self.recipe("start", "sgd", batch=1, step=6, epochs=1, rate=0)
        begin = weights(self.trained("uneven_0", 1, short) / "last.safetensors")
        way = sum((a - b) ** 2 for name in alone for a, b in zip(alone[name], begin[name])) ** 0.5
        self.assertGreater(way, 0)
        for size in (2, 4, 5):
            theirs = weights(self.trained(f"uneven_{size}", size, recipe) / "last.safetensors")
            apart = sum((a - b) ** 2 for name in alone for a, b in zip(alone[name], theirs[name])) ** 0.5
            self.assertLess(apart, 1e-5 * way, f"{size} ranks")

    def apart(self, one, other):
        """Length of the difference of the weights of two runs."""
        ours, theirs = (weights(run / "last.safetensors") for run in (one, other))
        return sum((a - b) ** 2 for name in ours for a, b in zip(ours[name], theirs[name])) ** 0.5

    def test_synchronised_batch_norms_give_the_batch_of_all_ranks(self):
        # 16 samples in steps of 3, the last of one. With batches of 2 the first rank has one sample, and in the last step
        # none: one process takes the 3 as one batch. With batches of 1 it has one, the second has two in two batches, of
        # which the first goes with the first rank's: one process takes 2 and 1. The network has ten norms, whose sums go
        # forward and back; 8 units of 6e-8 of each are 1e-5. (The loss is a mean over samples.)
        def run(name, size, batch, rate=1e-2, sync="true"):
            more = f"synchronise_batch_norm = {sync}\n"
            return self.trained(name, size, self.recipe(name, "sgd", batch=batch, step=3, epochs=1, rate=rate, boundary=0, more=more))

        begin = run("sync_begin", 1, 3, rate=0)
        for alone, ranks in ((3, 2), (2, 1)):
            one = run(f"sync_{alone}", 1, alone)
            way = self.apart(one, begin)
            self.assertGreater(way, 0)
            self.assertLess(self.apart(one, run(f"sync_{alone}_{ranks}", 2, ranks)), 1e-5 * way)
            self.assertGreater(self.apart(one, run(f"own_{alone}_{ranks}", 2, ranks, sync="false")), 1e-2 * way)

    def test_torchrun_starts_them(self):
        python = "/usr/bin/python3"  # Debian's, whose torch may be there
        found = subprocess.run([python, "-c", "import torch.distributed.run"], stderr=subprocess.PIPE)
        if found.returncode != 0:
            self.skipTest("python3-torch is not installed")
        recipe = self.recipe("launched")
        alone = self.trained("launched_1", 1, recipe)
        run = self.folder / "launched_2"
        # With neither redirection nor tee Debian's torch 1.13 fails under Python 3.11.
        done = subprocess.run([python, "-m", "torch.distributed.run", "--no_python", "--nproc_per_node", "2", "--master_port",
                               str(slurm.free_port()), "--redirects", "1", "--tee", "2", "--log_dir", self.folder, PROGRAM, "train", recipe, "-o", run, "--threads", "1"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_same_bits(alone, run)

    def test_slurm_starts_them(self):
        if slurm.missing():
            self.skipTest(slurm.missing())
        recipe = self.recipe("srun")
        alone = self.trained("srun_1", 1, recipe)
        run = self.folder / "srun_2"
        with tempfile.TemporaryDirectory(prefix="mambaseg_slurm_") as folder, slurm.Slurm(folder) as cluster:
            done = cluster.run(["srun", "--ntasks", 2, PROGRAM, "train", recipe, "-o", run, "--threads", 1], check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_same_bits(alone, run)

    def lose(self, how, patience):
        """Two ranks train long; one is lost. Seconds until the other ended, and what it said."""
        recipe = self.recipe(how, epochs=10000)
        run = self.folder / f"lost_{how}"
        leading, other = self.start(2, [recipe, "-o", run], patience)
        until = time.monotonic() + 120
        while not (run / "last.safetensors").exists():
            self.assertIsNone(leading.poll(), "it ended before anything was lost")
            self.assertLess(time.monotonic(), until, "no state was saved")
            time.sleep(0.1)
        other.send_signal(getattr(signal, how))
        begin = time.monotonic()
        _, err = leading.communicate(timeout=120)
        seconds = time.monotonic() - begin
        other.kill()
        other.communicate()
        self.assertEqual(leading.returncode, 1, err)
        return run, seconds, err.strip().splitlines()[-1]

    def test_a_killed_rank_is_named_and_another_number_of_ranks_goes_on(self):
        run, seconds, line = self.lose("SIGKILL", 60)
        self.assertIn("rank 0 of 2: rank 1 answers no more", line)
        self.assertLess(seconds, 20)
        epoch = self.journal(run)[-1]["epoch"]
        self.finish(self.start(1, ["--resume", "-o", run, "--set", f"training.epochs={epoch + 2}"]))
        lines = self.journal(run)
        self.assertIn("machine", [line["event"] for line in lines])
        self.assertEqual(lines[-1]["epoch"], epoch + 1)

    def test_a_stopped_rank_is_named_after_the_patience(self):
        patience = 15  # which is also how long they wait for each other at the start
        _, seconds, line = self.lose("SIGSTOP", patience)
        self.assertIn("rank 0 of 2: rank 1 answers no more", line)
        self.assertLess(seconds, patience + 20)

    def test_ranks_with_other_recipes_say_so(self):
        one, other = self.recipe("one"), self.recipe("other", rate=0.5)
        run = self.folder / "apart"
        processes = self.start(2, [one, "-o", run], words_of_rank={1: [other, "-o", run]})
        first, second = self.finish(processes, codes=())
        self.assertIn("rank 1 has another recipe than rank 0", first + second)
        self.assertEqual([process.returncode for process in processes], [1, 1])


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
