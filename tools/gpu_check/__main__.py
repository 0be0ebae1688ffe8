"""What can be said of a GPU in a few minutes: tools/gpu_check.sh

  tools/gpu_check.sh --pack FILE       where there is a network: one file with all that a bare GPU machine lacks
  sh FILE [OPTIONS]                    there (nvcc, a Python with torch 2.11, CMake, a compiler; no network): unpacks and goes on as
  tools/gpu_check.sh [OPTIONS]         builds what is needed, then step by step, most telling first: golden files and every network
                                       against the CPU, speed of kernels and networks, whole images, training, memory errors

Each step is bounded in time, prints one line and leaves a log. OUTPUT/gpu_check.json and gpu_check.html have machine, steps and
figures; they are written after each step, and a second call goes on with the steps that have not passed. Without a GPU the steps that
need one are skipped. The exit code is 1 when a step did not pass.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

import pack
import trainings
from record import Record
from runner import Runner
from steps import PROGRAMS, TESTS, all_steps

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def first_line(*command):
    """What a program says first; nothing where it is not there."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip().split("\n")[0] if said.returncode == 0 else ""


def machine_of(options):
    gpu = first_line("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap,power.limit", "--format=csv,noheader")
    name, driver, memory, capability, power = ([one.strip() for one in gpu.split(",")] + [""] * 5)[:5]
    torch = first_line(options.python, "-c", "import torch; print(torch.__version__, '/', torch.backends.cudnn.version())")
    nvcc = re.search(r"release ([\d.]+)", subprocess.getoutput("nvcc --version"))
    processor = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    return {"gpu": name, "driver": driver, "memory of the GPU": memory, "compute capability": capability, "power limit": power,
            "processor": processor[1] if processor else os.uname().machine, "cores": os.cpu_count(),
            "torch / cuDNN": torch, "nvcc": nvcc[1] if nvcc else "", "cmake": first_line("cmake", "--version"),
            "compiler": first_line("c++", "--version"), "system": " ".join(os.uname()[:3:2]), "commit": pack.commit_of(ROOT),
            "begun": time.strftime("%Y-%m-%d %H:%M:%S %z")}


def build_commands(options, machine, targets):
    """With the packages that a pack brought, or with the system's libraries."""
    capability = machine["compute capability"].replace(".", "")
    defines = [f"CMAKE_CUDA_ARCHITECTURES={capability}"] if capability else []
    prefix = os.path.join(ROOT, "build", "prefix")
    if os.path.isdir(os.path.join(prefix, "packages")):
        command = [sys.executable, os.path.join(ROOT, "tools", "build_without_root.py"), "--only", "build", "--prefix", prefix,
                   "--build", options.build, "--python", options.python, "--jobs", str(options.jobs)]
        for one in defines:
            command += ["--define", one]
        return [[*command, "--target", *targets]]
    return [["cmake", "--preset", "torch2", "-B", options.build, f"-DMAMBASEG_PYTHON={options.python}",
             *(f"-D{one}" for one in defines)],
            ["cmake", "--build", options.build, "--parallel", str(options.jobs), "--target", *targets]]


def build(runner, options, machine):
    """First what tells most. What was built before the time is over is used, and a second call builds on."""
    left = options.build_seconds
    for name, targets in (("build", PROGRAMS), ("build_tests", TESTS)):
        total, status, log = 0.0, "pass", ""
        for number, command in enumerate(build_commands(options, machine, targets)):
            status, seconds, log = runner.call(f"{name}{number}", command, left, cwd=ROOT)
            total += seconds
            left -= seconds
            if status != "pass":
                break
        errors = re.findall(r"^.*(?: error: |CMake Error|fatal error|FAILED: ).*$", log, re.MULTILINE)[:20]
        said = "" if status == "pass" else "\n".join(errors if status == "fail" and errors else log.strip().split("\n")[-5:])
        runner.note(name, "Build", status, total, said=said, note=said.split("\n")[0][:160])


def copies_of_pictures(folder, count=256):
    """A folder of so many pictures, the few of the sources again and again."""
    source = os.path.join(ROOT, "tests", "cli", "isic2017", "images")
    names = sorted(name for name in os.listdir(source) if name.endswith(".jpg")) if os.path.isdir(source) else []
    os.makedirs(folder, exist_ok=True)
    for number in range(count if names else 0):
        name = names[number % len(names)]
        shutil.copyfile(os.path.join(source, name), os.path.join(folder, f"{number:03d}_{name}"))


def train(runner, options):
    todo = [one for one in trainings.all_trainings(ROOT, options.maps, options.pictures)
            if re.search(options.trainings, one.name)]
    device = "cuda" if runner.gpu else "cpu"
    for number, one in enumerate(todo):
        name, group = f"train_{one.name}", "Trainings"
        why = ("no GPU" if not runner.gpu and not options.train_on_cpu else
               "its folder of data was not given (--maps, --pictures)" if not one.data else
               "no program mambaseg" if not shutil.which(runner.program("mambaseg")) else
               "no time left" if runner.left() < 20 else "")
        if why:
            runner.note(name, group, "skip", note=why)
            continue
        run = os.path.join(options.output, "runs", one.name)
        trainings.take_up(run, options.runs and os.path.join(options.runs, one.name))
        command = trainings.command_of(one, run, device)
        command[0] = runner.program(command[0])
        share = (runner.left() - 15) / (len(todo) - number)
        status, seconds, log = runner.call(name, command, share)
        problem = trainings.bring_back(runner.program("mambaseg"), one, run, os.path.join(options.output, "bring")) \
            if os.path.isdir(run) else ""
        if status == "time":
            problem, status = problem or "not at its end: --runs OUTPUT/bring/runs goes on", "pass" if not problem else "fail"
        elif status == "fail":
            problem = log.strip().split("\n")[-1][:200]
        runner.note(name, group, status, seconds, trainings.journal_figures(run), problem, log[-2000:] if status == "fail" else "")


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="tools/gpu_check.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", metavar="FILE", help="write the file for a machine without a network, and end")
    parser.add_argument("--prefix", default=os.path.join(ROOT, "build", "prefix"), help="--pack: Debian's packages (build/prefix)")
    parser.add_argument("-o", "--output", default="gpu_check", help="results (gpu_check)")
    parser.add_argument("-b", "--build", default=os.path.join(ROOT, "build", "torch2"), help="build folder (build/torch2)")
    parser.add_argument("--no-build", action="store_true", help="the programs in --build are taken as they are")
    parser.add_argument("--build-seconds", type=float, default=420, help="the build ends after so many seconds (420)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at once (all cores)")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch 2 (the one that runs this)")
    parser.add_argument("-t", "--templates", help="folder of ch2.nii.gz, ch2bet.nii.gz, aal.nii.gz (Debian's mricron-data)")
    parser.add_argument("-s", "--seconds", type=float, default=900, help="everything ends after so many seconds (900)")
    parser.add_argument("--steps", default="", help="only steps whose name holds this regular expression")
    parser.add_argument("--list", action="store_true", help="name the steps, and end")
    parser.add_argument("--train", action="store_true", help="then train the shipped models and HyM-UNet for ISIC 2018")
    parser.add_argument("--trainings", default="", help="only those whose name holds this regular expression")
    parser.add_argument("--maps", help="--train: label maps of whole heads (MAPS/labels, MAPS/images)")
    parser.add_argument("--pictures", help="--train: ISIC 2018 task 1")
    parser.add_argument("--runs", help="--train: OUTPUT/bring/runs of another machine, whose runs go on")
    parser.add_argument("--train-on-cpu", action="store_true", help="--train without a GPU")
    options = parser.parse_args(arguments)
    for name in ("output", "build", "templates", "maps", "pictures", "runs"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    places = [options.templates] if options.templates else [
        os.path.join(ROOT, "build", "prefix", "usr", "share", "mricron", "templates"), "/usr/share/mricron/templates"]
    options.templates = next((one for one in places if os.path.isdir(one)), places[-1])
    return options


def main(arguments):
    options = options_of(arguments)
    if options.pack:
        return pack.write_pack(ROOT, options.pack, options.prefix)
    steps = [one for one in all_steps(ROOT, options.templates) if re.search(options.steps, one.name)]
    if options.list:
        return print("\n".join(f"{one.name}{'' if one.gpu else ' (needs no GPU)'}" for one in steps))
    os.makedirs(options.output, exist_ok=True)
    record = Record(options.output)
    machine = machine_of(options)
    if record.take_up(machine):
        print(f"goes on with {record.path}")
    runner = Runner(options.output, options.build, options.seconds, record)
    print(json.dumps(machine), flush=True)
    if not options.no_build:
        build(runner, options, machine)
        unpacked = os.path.join(ROOT, "build", "prefix", "usr", "share", "mricron", "templates")
        if os.path.isdir(unpacked) and options.templates != unpacked:
            steps = [one for one in all_steps(ROOT, unpacked) if re.search(options.steps, one.name)]
    copies_of_pictures(os.path.join(options.output, "pictures"))
    for step in steps:
        runner.run(step)
    if options.train:
        train(runner, options)
    counts = record.counts()
    print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['time']} ran out of time, {counts['skip']} not run; "
          f"{record.path}, {os.path.join(options.output, 'gpu_check.html')}")
    sys.exit(1 if counts["fail"] or counts["time"] else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
