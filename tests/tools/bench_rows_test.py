"""bench/all_rows.py against programs that print known figures, and bench/compare_rows.py on what it wrote."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"


def run(tool, *words):
    return subprocess.run([sys.executable, "-B", BENCH / tool, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def build(folder, speed, fails=False):
    """A folder of programs: the scan at `speed`, and a `mambaseg`."""
    folder.mkdir()
    row = json.dumps([{"case": "scan, forward", "unit": "G/s", "ours": speed, "reference": 1.0, "threads": 2}])
    for name, text in (("bench_selective_scan", "exit 3" if fails else f"echo '{row}'"), ("mambaseg", "echo version 1")):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        os.chmod(program, 0o755)
    return folder


class BenchRows(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)

    def rows(self, **speeds):
        words = ["--only", "scan", "--rounds", "2"]
        for name, speed in speeds.items():
            words += ["--bin", build(self.folder / name, speed), "-o", self.folder / f"{name}.json"]
        done = run("all_rows.py", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [self.folder / f"{name}.json" for name in speeds]

    def test_every_round_is_kept(self):
        (path,) = self.rows(one=2.0)
        row = json.loads(path.read_text())["rows"]["scan, forward"]
        self.assertEqual(row, {"unit": "G/s", "ours": [2.0, 2.0], "reference": [1.0, 1.0]})

    def test_a_slower_build_is_named_and_fails(self):
        before, after = self.rows(before=10.0, after=8.0)
        done = run("compare_rows.py", before, after)
        self.assertEqual(done.returncode, 1)
        self.assertIn("slower", done.stdout)
        self.assertIn("scan, forward: 10 -> 8 G/s", done.stdout)
        self.assertEqual(run("compare_rows.py", after, before).returncode, 0)

    def test_a_difference_within_the_noise_is_none(self):
        before, after = self.rows(before=10.0, after=9.7)
        done = run("compare_rows.py", before, after)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("0 slower", done.stdout)

    def test_rounds_that_differ_are_noise(self):
        before, after = self.rows(before=10.0, after=8.0)
        content = json.loads(before.read_text())
        content["rows"]["scan, forward"]["ours"] = [10.0, 7.5]
        before.write_text(json.dumps(content))
        self.assertEqual(run("compare_rows.py", before, after).returncode, 0)

    def test_a_benchmark_that_fails_is_told(self):
        done = run("all_rows.py", "--only", "scan", "--rounds", "1", "--bin", build(self.folder / "bad", 1, fails=True),
                   "-o", self.folder / "bad.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("scan (", done.stderr)


if __name__ == "__main__":
    unittest.main()
