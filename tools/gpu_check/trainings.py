"""The trainings of the shipped models, and HyM-UNet's whole experiment for as long as there is time. A run that lies there goes on;
what is brought back: its best weights in bf16, its journal, and its state in parts of at most 15 MB."""
import os
import shutil
import subprocess
from dataclasses import dataclass

import figures
import pack


@dataclass
class Training:
    name: str
    recipe: str
    data: str  # folder
    settings: list


def all_trainings(root, maps, pictures):
    split = os.path.join(root, "models", "skin-lesion", "split.json")
    return [
        Training("t1_subcortical", "medsegmamba_t1_subcortical", maps, []),
        Training("skin_lesion", "hym_unet_skin_lesion", pictures, [f"data.split.file={split}"]),
        Training("hym_unet_isic2018", "hym_unet_isic2018", pictures, ["training.precision=auto", "training.save_every_steps=200"]),
    ]


def command_of(training, run, device):
    """`mambaseg train`, from the start or where the run stands."""
    command = ["mambaseg", "train", training.recipe, "-o", run, "--device", device,
               "--set", f"data.dataset.folder={training.data}"]
    for one in training.settings:
        command += ["--set", one]
    return command + (["--resume"] if os.path.exists(os.path.join(run, "recipe.toml")) else [])


def take_up(run, earlier):
    """The run of that name that an earlier machine brought back."""
    if earlier and os.path.isdir(earlier) and not os.path.isdir(run):
        shutil.copytree(earlier, run)
        pack.join(run)


def journal_figures(run):
    try:
        with open(os.path.join(run, "journal.jsonl")) as lines:
            return figures.of_journal(lines)
    except OSError:
        return []


def bring_back(mambaseg, training, run, to):
    """Into the folder `to`; returns what was wrong."""
    best = os.path.join(run, "best.safetensors")
    problem = ""
    if os.path.exists(best):
        small = os.path.join(run, f"{training.name}.bf16.safetensors")
        if os.path.exists(small):
            os.remove(small)
        done = subprocess.run([mambaseg, "convert", best, small, "--weights", "bf16"], capture_output=True, text=True)
        if done.returncode == 0:
            pack.split(small, os.path.join(to, f"{training.name}.bf16.safetensors"))
            os.remove(small)
        else:
            problem = done.stderr.strip()
    state = os.path.join(to, "runs", training.name)
    shutil.rmtree(state, ignore_errors=True)
    for name in sorted(os.listdir(run)):
        path = os.path.join(run, name)
        if os.path.isfile(path) and not name.startswith("."):
            pack.split(path, os.path.join(state, name))
    return problem
