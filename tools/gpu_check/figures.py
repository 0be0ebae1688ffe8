"""Reads figures out of what the programs print. A figure is {"what", "value", "unit"}, and where there is something to hold it
against {"beside": value of that, "beside_is": its name}."""
import json
import re

NUMBER = r"[-+0-9.e]+"


def figure(what, value, unit, beside=None, beside_is=None):
    out = {"what": what, "value": float(value), "unit": unit}
    if beside is not None:
        out.update(beside=float(beside), beside_is=beside_is)
    return out


def of_golden_files(log):
    """golden_check's last line, and what failed as lines for people."""
    counts = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) of the CPU alone skipped)?$", log, re.MULTILINE)
    if not counts:
        return []
    return [figure(what, count, "files") for what, count in
            zip(("passed", "failed", "of the CPU alone"), (int(group or 0) for group in counts.groups()))]


def of_tests(log):
    """What GoogleTest counts."""
    out = []
    for word, what in (("PASSED", "passed"), ("FAILED", "failed"), ("SKIPPED", "skipped")):
        counts = re.findall(rf"^\[  {word} +\] (\d+) tests?", log, re.MULTILINE)
        if counts:
            out.append(figure(what, counts[0], "tests"))
    return out


COPY = "a copy of 1 GiB"


def is_copy(one):
    return one["what"] == COPY


def copy_of(some):
    """GB/s that a copy moves; None where none was measured."""
    return next((one["value"] for one in some if is_copy(one)), None)


def of_kernels(log):
    """bench_selective_scan and bench_depthwise_conv, whose lines come one by one; what is no GB/s stands beside LibTorch, GB/s beside
    the copy that the former measures."""
    copy = re.search(rf"^{COPY}: ({NUMBER}) GB/s", log, re.MULTILINE)
    out = [figure(COPY, copy[1], "GB/s")] if copy else []
    line = rf"^(.+?) +\d+ thread\(s\) +({NUMBER}) ([^,]+), reference +({NUMBER}), "
    for what, value, unit, reference in re.findall(line, log, re.MULTILINE):
        if unit == "GB/s":
            out.append(figure(what, value, unit, *((copy[1], "a copy") if copy else ())))
        else:
            out.append(figure(what, value, unit, reference, "LibTorch"))
    return out


def of_network(log, images=0):
    """bench_network --json; with `images`, those a second as well. What the program says on stderr lies around the JSON."""
    start, end = log.find("["), log.rfind("]")
    if start < 0 or end < start:
        return []
    out = []
    for row in json.loads(log[start:end + 1]):
        beside = () if row["reference"] is None else (row["reference"], "LibTorch in fp32")
        out.append(figure(row["case"], row["ours"], row["unit"], *beside))
        if images and row["unit"] == "s":
            out.append(figure(row["case"] + ", images", images / row["ours"], "1/s",
                              *((images / row["reference"], "LibTorch in fp32") if beside else ())))
    return out


def of_duration(text):
    """"1 h 02 min", "2 min 31 s", "4.0 s" in seconds."""
    units = {"h": 3600, "min": 60, "s": 1, "ms": 0.001}
    return sum(float(value) * units[unit] for value, unit in re.findall(r"([\d.]+) (h|min|ms|s)\b", text))


def of_prediction(log):
    """predict and segment: seconds of each case, pictures a second, memory."""
    out = []
    for name, took in re.findall(r"^([^:\n]+): (?:[^\n]*, )?((?:[\d.]+ (?:h|min|s|ms) ?)+)$", log, re.MULTILINE):
        out.append(figure(name, of_duration(took), "s"))
    for rate in re.findall(r", ([\d.]+) pictures/s$", log, re.MULTILINE):
        out.append(figure("pictures", rate, "1/s"))
    memory = re.search(r"^memory taken: at most (\d+) MB(?:, and (\d+) MB on the GPU)?", log, re.MULTILINE)
    if memory:
        out.append(figure("memory of the host", memory[1], "MB"))
        if memory[2]:
            out.append(figure("memory of the GPU", memory[2], "MB"))
    return out


def of_dice(log):
    """The mean over structures that evaluate prints."""
    found = re.search(rf"mean over structures\s+({NUMBER})", log)
    return [figure("mean Dice of the two", found[1], "")] if found else []


def of_journal(lines):
    """A run's journal.jsonl: epochs, their time, the best Dice."""
    epochs = [line for line in map(json.loads, lines) if line.get("event") == "epoch"]
    if not epochs:
        return []
    out = [figure("epochs so far", epochs[-1]["epoch"] + 1, ""),
           figure("seconds an epoch, median", sorted(e["seconds"] for e in epochs)[len(epochs) // 2], "s"),
           figure("samples a second, last epoch", epochs[-1]["patches_per_s"], "1/s")]
    dice = [e["validation"]["dice"] for e in epochs if "validation" in e]
    if dice:
        out.append(figure("best validation Dice", max(dice), ""))
    return out
