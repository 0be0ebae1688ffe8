"""Runs steps, one after the other, each within its time."""
import os
import re
import shutil
import signal
import subprocess
import time

import figures
from steps import PROGRAMS, TESTS

SKIPPED_TEST = re.compile(r"^\[  SKIPPED \]", re.MULTILINE)
TELLING = re.compile(r"^.*(?:Failure|FAIL|differs|what\(\)|rror:|is off by).*$", re.MULTILINE)


class Runner:
    """Runs commands within the time that is left, and keeps the record."""

    def __init__(self, output, build, seconds, record):
        self.output, self.build, self.record = output, build, record
        self.end = time.monotonic() + seconds
        self.gpu = bool(record.content["machine"].get("gpu"))

    def left(self):
        return self.end - time.monotonic()

    def program(self, word):
        """A program of the build, by its path."""
        return os.path.join(self.build, "bin", word) if word in PROGRAMS + TESTS else word

    def call(self, name, command, limit, env=None, cwd=None):
        """(status, seconds, log). What runs out of time is ended, with all that it started."""
        log = os.path.join(self.output, "logs", name + ".log")
        os.makedirs(os.path.dirname(log), exist_ok=True)
        started = time.monotonic()
        with open(log, "wb") as out:
            try:
                process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                           cwd=cwd or self.output, env={**os.environ, **(env or {})}, start_new_session=True)
            except OSError as error:
                return "fail", 0.0, str(error)
            try:
                status = "pass" if process.wait(timeout=max(1, min(limit, self.left()))) == 0 else "fail"
            except subprocess.TimeoutExpired:
                status = "time"
                for ending in (signal.SIGTERM, signal.SIGKILL):
                    os.killpg(process.pid, ending)
                    try:
                        process.wait(timeout=5)
                        break
                    except subprocess.TimeoutExpired:
                        pass
        with open(log, errors="replace") as text:
            return status, time.monotonic() - started, text.read()

    def note(self, name, group, status, seconds=0.0, figures=(), note="", said=""):
        self.record.add({"name": name, "group": group, "status": status, "seconds": round(seconds, 1), "note": note,
                         "figures": list(figures), "said": said})
        print(f"{status.upper():5}{seconds:5.0f} s  {name}" + (f": {note}" if note else ""), flush=True)

    def reason_to_skip(self, step):
        if step.gpu and not self.gpu:
            return "no GPU"
        for word in (step.command[0], *(one for one in step.command[1:] if one in TESTS)):
            if not shutil.which(self.program(word)):
                return f"no program {os.path.basename(word)}"
        for path in step.needs:
            if not os.path.exists(os.path.join(self.output, path)):
                return f"no {path}"
        return "no time left" if self.left() < 2 else ""

    def beside_a_copy(self, found):
        """GB/s stand beside what a copy moved, where an earlier step has measured that."""
        copy = figures.copy_of(one for step in self.record.content["steps"] for one in step["figures"])
        for one in found:
            if copy and one["unit"] == "GB/s" and "beside" not in one and not figures.is_copy(one):
                one.update(beside=copy, beside_is="a copy")
        return found

    def run(self, step):
        done = self.record.step(step.name)
        if done and done["status"] == "pass":
            return
        if why := self.reason_to_skip(step):
            return self.note(step.name, step.group, "skip", note=why)
        status, seconds, log = self.call(step.name, [self.program(word) for word in step.command], step.limit, step.env)
        said = "" if status == "pass" else "\n".join(TELLING.findall(log)[:40]) or log[-2000:]
        if status == "pass" and step.gpu and SKIPPED_TEST.search(log):
            status, said = "fail", "a test that finds no GPU where one is needed has shown nothing"
        self.note(step.name, step.group, status, seconds, self.beside_a_copy(step.read(log)), said.split("\n")[0][:160], said)
