"""tools/gpu_check.sh with programs that only print: what runs, what is skipped, and what stands in the record and on the page."""
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHECK = os.path.join(ROOT, "tools", "gpu_check.sh")
sys.path.insert(0, os.path.join(ROOT, "tools", "gpu_check"))

from record import Record  # noqa: E402
from runner import Runner  # noqa: E402

GOLDEN = """PASS scan_L1 1.2e-07
FAIL vmunet_whole 0.1 output.y is off by 0.1, allowed 0.001
2 passed, 1 failed, 40 of the CPU alone skipped
"""
SCAN = """a copy of 1 GiB: 2956 GB/s
L 1728, D 1024, N 64, forward                              1 thread(s)  408.911 G updates/s, reference   0.840, ratio  486.9, error 1.6e-07, CUDA
L 1728, D 1024, N 64, forward                              1 thread(s)   79.865 GB/s, reference   0.164, ratio  486.9, error 1.6e-07, CUDA
"""
DEPTHWISE = """3^3 on 48^3 x 64, forward                                  1 thread(s) 1022.000 GMAC/s, reference 1215.000, ratio    0.8, error 1.0e-07, CUDA
3^3 on 48^3 x 64, forward                                  1 thread(s)  303.000 GB/s, reference 360.000, ratio    0.8, error 1.0e-07, CUDA
"""
NETWORK = json.dumps([
    {"case": "hym_unet 16x3x256x256 bf16", "unit": "s", "ours": 0.014, "reference": 0.028, "ratio": 2, "max_error": 0.01},
    {"case": "hym_unet 16x3x256x256 bf16, largest memory", "unit": "GiB", "ours": 0.7, "reference": None, "ratio": None,
     "max_error": None}])
JOURNAL = "\n".join(json.dumps(line) for line in [
    {"event": "start"}, {"event": "epoch", "epoch": 0, "seconds": 4.0, "patches_per_s": 50, "validation": {"dice": 0.5}},
    {"event": "epoch", "epoch": 1, "seconds": 2.0, "patches_per_s": 100, "validation": {"dice": 0.4}}])
# The second run must find the first one's files whole and be told to go on.
MAMBASEG = f"""
case $1 in
  train)
    run=$4
    if [ -e $run/recipe.toml ]; then case "$*" in *--resume*) cmp $run/last.safetensors $run/same || exit 3;; *) exit 4;; esac; fi
    mkdir -p $run && echo > $run/recipe.toml && echo best > $run/best.safetensors
    head -c 16000000 /dev/urandom > $run/last.safetensors && cp $run/last.safetensors $run/same
    cat > $run/journal.jsonl << 'JOURNAL'
{JOURNAL}
JOURNAL
    ;;
  convert) echo half > $3 ;;
  *) exit 5 ;;
esac
"""


class GpuCheck(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = self.temporary.name
        self.addCleanup(self.temporary.cleanup)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def program(self, name, script, folder="build/bin"):
        os.makedirs(self.path(folder), exist_ok=True)
        with open(self.path(folder, name), "w") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(self.path(folder, name), stat.S_IRWXU)

    def printing(self, name, text, code=0):
        self.program(name, f"cat << 'TEXT'\n{text}\nTEXT\nexit {code}\n")

    def gpu(self, there):
        self.program("nvidia-smi", 'echo "A GPU, 580.1, 81559 MiB, 9.0, 700 W"' if there else "exit 9", "path")

    def check(self, *options, output="out"):
        """(exit code, what was printed, the steps of the record by name, the page)"""
        environment = {**os.environ, "PATH": self.path("path") + os.pathsep + os.environ["PATH"]}
        done = subprocess.run([CHECK, "-o", self.path(output), "-b", self.path("build"), "--no-build", "-t", self.path("none"),
                               "--python", "false", *options], capture_output=True, text=True, env=environment)
        with open(self.path(output, "gpu_check.json")) as file:
            record = json.load(file)
        with open(self.path(output, "gpu_check.html")) as file:
            page = file.read()
        return done, record, {step["name"]: step for step in record["steps"]}, page

    def values(self, step):
        return {(one["what"], one["unit"]): one["value"] for one in step["figures"]}

    def test_without_a_gpu_what_needs_one_is_skipped(self):
        self.gpu(False)
        self.printing("test_ops", "[  PASSED  ] 12 tests.\n[  SKIPPED ] 3 tests, listed below:")
        done, record, steps, page = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(steps["golden_cuda"]["note"], "no GPU")
        self.assertEqual({step["status"] for name, step in steps.items() if name != "operators_cpu"}, {"skip"})
        self.assertEqual(self.values(steps["operators_cpu"]), {("passed", "tests"): 12, ("skipped", "tests"): 3})
        self.assertEqual(record["machine"]["gpu"], "")
        self.assertIn("a machine without a GPU", page)

    def test_figures_of_each_kind_and_a_failure(self):
        self.gpu(True)
        self.printing("golden_check", GOLDEN, 1)
        self.printing("bench_selective_scan", SCAN)
        self.printing("bench_depthwise_conv", DEPTHWISE)
        self.printing("bench_network", "a word on stderr\n" + NETWORK)
        self.printing("test_nets", "[  SKIPPED ] EveryNetwork.OnTheGpuScores\n[  PASSED  ] 0 tests.")
        done, record, steps, page = self.check("--steps", "golden|speed|hym_unet_pictures|every_network")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(record["machine"]["compute capability"], "9.0")
        golden = steps["golden_cuda"]
        self.assertEqual(golden["status"], "fail")
        self.assertIn("vmunet_whole", golden["note"])
        self.assertEqual(self.values(golden)["of the CPU alone", "files"], 40)
        scan = steps["scan_speed"]["figures"]
        self.assertEqual(scan[1], {"what": "L 1728, D 1024, N 64, forward", "value": 408.911, "unit": "G updates/s", "beside": 0.84,
                                   "beside_is": "LibTorch"})
        for one in (scan[2], steps["depthwise_speed"]["figures"][1]):
            self.assertEqual((one["beside"], one["beside_is"]), (2956, "a copy"))
        pictures = self.values(steps["hym_unet_pictures"])
        self.assertAlmostEqual(pictures["hym_unet 16x3x256x256 bf16, images", "1/s"], 16 / 0.014)
        self.assertEqual(steps["every_network_cuda"]["status"], "fail", "a test that was skipped for want of a GPU has shown nothing")
        for text in ("A GPU", "FAILED", "vmunet_whole", ">409<", "a copy"):
            self.assertIn(text, page)

    def test_a_second_call_goes_on_with_what_has_not_passed(self):
        self.gpu(True)
        self.program("test_ops", f"echo ran >> {self.path('ran')}\n")
        self.printing("golden_check", "0 passed, 1 failed", 1)
        options = ("--steps", "golden|kernels")
        for code in (1, 0):
            done, _, steps, _ = self.check(*options)
            self.assertEqual(done.returncode, code, done.stdout)
            self.assertEqual(steps["golden_cuda"]["status"], "fail" if code else "pass")
            self.printing("golden_check", "1 passed, 0 failed")
        with open(self.path("ran")) as file:
            self.assertEqual(file.read(), "ran\n", "what has passed is not repeated")

    def test_what_runs_out_of_time_is_ended_with_all_that_it_started(self):
        runner = Runner(self.folder, self.path("build"), 600, Record(self.folder))
        status, seconds, log = runner.call("long", ["sh", "-c", "echo begun; sleep 600 & wait"], 1)
        self.assertEqual((status, log), ("time", "begun\n"))
        self.assertLess(seconds, 300)

    def test_trainings_go_on_and_come_back_in_parts(self):
        self.gpu(True)
        self.program("mambaseg", MAMBASEG)
        options = ("--steps", "nothing", "--train", "--trainings", "skin", "--pictures", self.folder)
        for output, runs in (("out", ()), ("other", ("--runs", self.path("out", "bring", "runs")))):
            done, _, steps, page = self.check(*options, *runs, output=output)
            self.assertEqual(done.returncode, 0, done.stdout + json.dumps(steps))
            self.assertEqual(self.values(steps["train_skin_lesion"]), {
                ("epochs so far", ""): 2, ("seconds an epoch, median", "s"): 4, ("samples a second, last epoch", "1/s"): 100,
                ("best validation Dice", ""): 0.5})
            brought = self.path(output, "bring")
            self.assertTrue(os.path.exists(os.path.join(brought, "skin_lesion.bf16.safetensors")))
            parts = sorted(os.listdir(os.path.join(brought, "runs", "skin_lesion")))
            self.assertEqual([one for one in parts if one.startswith("last")],
                             [f"last.safetensors.part{number:03d}" for number in range(2)])
            for folder, _, names in os.walk(brought):
                self.assertLessEqual(max((os.path.getsize(os.path.join(folder, name)) for name in names), default=0), 15e6)
        self.assertIn("best validation Dice", page)

    @unittest.skipUnless(os.path.exists(os.path.join(ROOT, ".git")), "no clone")
    def test_a_pack_unpacks_itself_and_runs(self):
        os.makedirs(self.path("prefix", "packages"))
        with open(self.path("prefix", "packages", "one.deb"), "w") as file:
            file.write("a package")
        packed = subprocess.run([CHECK, "--pack", self.path("check.run"), "--prefix", self.path("prefix")], capture_output=True,
                                text=True)
        self.assertIn(" MB. On the GPU machine: sh check.run", packed.stdout, packed.stderr)
        os.makedirs(self.path("there"))
        for _ in range(2):
            listed = subprocess.run(["sh", "../check.run", "--list"], capture_output=True, text=True, cwd=self.path("there"))
            self.assertIn("golden_cuda", listed.stdout, listed.stderr)
        unpacked = self.path("there", "mambaseg-gpu-check")
        self.assertTrue(os.path.exists(os.path.join(unpacked, "build", "prefix", "packages", "one.deb")))
        self.assertTrue(os.path.exists(os.path.join(unpacked, "CMakeLists.txt")))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
