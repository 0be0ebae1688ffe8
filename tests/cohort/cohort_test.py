"""A cohort over several workers: as processes of this machine and as a Slurm array, killed in the middle and submitted
again: every case is there, and the journals say that none was done twice.

  cohort_test.py path/to/mambaseg
"""
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "ranks"))
import ranks_test
import slurm

PROGRAM = None
CASES = 48


def run(*words, check=True):
    done = subprocess.run([PROGRAM, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=200)
    if check and done.returncode != 0:
        raise AssertionError(f"{words}: {done.stderr}")
    return done


class Cohort(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mambaseg_cohort_"))
        ranks_test.draw_dataset(cls.folder / "data", CASES, 64)
        recipe = cls.folder / "recipe.toml"
        text = ranks_test.RECIPE % {"data": cls.folder / "data", "optimizer": "adamw", "batch": 2, "step": 2, "rate": 1e-2, "boundary": 1,
                                    "epochs": 1, "network": 'name = "unet"\nwidths = [16, 32, 32]'}
        recipe.write_text(text.replace("size = [32, 32]", "size = [160, 160]"))
        run("train", recipe, "-o", cls.folder / "run", "--threads", 2, "--set", "data.split.test_fraction=0.8", "--set", "data.split.validation_fraction=0.1")
        cls.model = cls.folder / "run" / "best.safetensors"
        cls.alone = cls.folder / "alone"
        run("predict", *cls.words(cls.alone), "--threads", 1)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def words(cls, output, images=None):
        return ["-m", cls.model, "-i", images or cls.folder / "data" / "images", "-o", output]

    def journals(self, output):
        return {path.stem: [json.loads(line) for line in path.read_text().splitlines()]
                for path in (output / "cohort").glob("*.jsonl")}

    def done(self, output):
        return len(list(output.glob("*.png")))

    def kill_in_the_middle(self, output, workers):
        """SIGKILL to every worker once each has begun something and some cases are done."""
        until = time.monotonic() + 60
        while True:
            self.assertLess(time.monotonic(), until, "the workers did not begin")
            found = set()
            for path in (output / "cohort").glob("*.jsonl"):
                found.update(re.findall(r"process (\d+) on [^,]*, shard \d+/\d+", path.read_text()))
            living = [int(one) for one in found if pathlib.Path(f"/proc/{one}").exists()]
            if len(living) >= workers and self.done(output) >= 5:
                break
            time.sleep(0.002)
        for one in living:
            os.kill(one, signal.SIGKILL)
        while any(os.path.exists(f"/proc/{one}/exe") for one in living):  # a zombie has none
            time.sleep(0.01)
        return living

    def assert_all_there_none_twice(self, output, killed=()):
        for path in sorted(self.alone.glob("*.png")):
            self.assertEqual((output / path.name).read_bytes(), path.read_bytes(), path.name)
        self.assertEqual(self.done(output), CASES)
        for name, events in self.journals(output).items():
            what = [event["event"] for event in events]
            self.assertLessEqual(what.count("done"), 1, f"{name}: {events}")
            if what[-1] != "done":  # its output was there and its worker killed before it could say so: nobody began it again
                self.assertEqual(what[-1], "begun", f"{name}: {events}")
                self.assertIn(int(re.match(r"process (\d+) ", events[-1]["worker"])[1]), killed, f"{name}: {events}")
        self.assertEqual(len(self.journals(output)), CASES)
        self.assertEqual([path.name for path in output.rglob(".mambaseg-*")], [])

    def start(self, output, index, count, *more):
        return subprocess.Popen([PROGRAM, "predict", *map(str, self.words(output)), "--threads", "1", "--shard", f"{index}/{count}", *more],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_a_killed_worker_is_replaced_by_the_others(self):
        output = self.folder / "killed"
        one, other = self.start(output, 1, 2), self.start(output, 2, 2)
        until = time.monotonic() + 60
        while self.done(output) < 5 and time.monotonic() < until:
            time.sleep(0.002)
        one.kill()
        one.communicate()
        self.assertLess(self.done(output), CASES, "it was too late to kill a worker")
        _, err = other.communicate(timeout=100)
        self.assertEqual(other.returncode, 0, err)
        again = self.start(output, 1, 2)
        _, err = again.communicate(timeout=100)
        self.assertEqual(again.returncode, 0, err)
        self.assert_all_there_none_twice(output, [one.pid])

    def test_a_bad_case_is_told_and_stops_nobody(self):
        images, output = self.folder / "some_bad", self.folder / "told"
        shutil.copytree(self.folder / "data" / "images", images)
        (images / "07.bmp").write_bytes(b"BM no picture")
        workers = [subprocess.Popen([PROGRAM, "predict", *map(str, self.words(output, images)), "--shard", f"{i}/2", "--threads", "1"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in (1, 2)]
        ends = [(worker.communicate(timeout=100)[1], worker.returncode) for worker in workers]
        self.assertIn(1, [code for _, code in ends], ends)
        told = run("cohort", output, check=False)
        self.assertEqual(told.returncode, 1)
        self.assertIn(f"{CASES - 1} of {CASES} cases are done, 1 failed, 0 begun", told.stdout)
        self.assertIn("failed: 07: ", told.stdout)
        with open(output / "cohort.csv", newline="") as file:
            rows = {row["case"]: row for row in csv.DictReader(file)}
        self.assertEqual(rows["07"]["state"], "failed")
        self.assertIn("07.bmp", rows["07"]["why"])
        self.assertEqual({row["state"] for name, row in rows.items() if name != "07"}, {"done"})
        shutil.copy(self.folder / "data" / "images" / "07.bmp", images)  # mended: the next call does it
        for i in (1, 2):
            run("predict", *self.words(output, images), "--shard", f"{i}/2")
        self.assertIn(f"{CASES} of {CASES} cases are done", run("cohort", output).stdout)
        self.assert_all_there_none_twice(output)

    def test_a_slurm_array_is_killed_and_submitted_again(self):
        if slurm.missing():
            self.skipTest(slurm.missing())
        output = self.folder / "array"
        planned = run("cohort", "--workers", 2, "--", "predict", *self.words(output))
        script = output / "cohort" / "array.sbatch"
        self.assertIn("#SBATCH --array=1-2\n", script.read_text())
        self.assertIn(f"sbatch {script}", planned.stdout)
        self.assertEqual(self.done(output), 2)  # of the trial
        with tempfile.TemporaryDirectory(prefix="mambaseg_slurm_") as folder, slurm.Slurm(folder) as cluster:
            submitted = subprocess.Popen(["sbatch", "--wait", script], env=cluster.environment, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            killed = self.kill_in_the_middle(output, 2)
            submitted.communicate(timeout=100)
            self.assertNotEqual(submitted.returncode, 0)
            before = self.done(output)
            self.assertLess(before, CASES, "it was too late to kill the workers")
            self.assertIn("cases are not done", run("cohort", output, check=False).stderr)
            again = cluster.run(["sbatch", "--wait", script], check=False)
        logs = "".join(path.read_text() for path in (output / "cohort").glob("log-*"))
        self.assertEqual(again.returncode, 0, again.stderr + logs)
        self.assert_all_there_none_twice(output, killed)
        workers = {event["worker"] for events in self.journals(output).values() for event in events}
        self.assertEqual(len([worker for worker in workers if "Slurm job" in worker]), 4, workers)
        self.assertIn(f"{CASES} of {CASES} cases are done", run("cohort", output).stdout)


if __name__ == "__main__":
    PROGRAM = ranks_test.PROGRAM = sys.argv.pop(1)
    unittest.main()
