"""Takes along what a bare GPU machine lacks, in one file that unpacks itself there: sources, Debian's packages, small images; and
brings back what is too large for one file in parts."""
import glob
import io
import os
import shutil
import subprocess
import sys
import tarfile

FOLDER = "mambaseg-gpu-check"
MOST_BYTES = 60 * 10**6
PART_BYTES = 15 * 10**6
HEADER = """#!/bin/sh
# mambaseg {commit}: sh {name} [OPTIONS] unpacks into {folder} and calls tools/gpu_check.sh there (--help lists the options).
set -eu
if [ "$(cat {folder}/COMMIT 2> /dev/null)" != {commit} ]; then
  mkdir -p {folder}
  tail -n +9 "$0" | tar xzf - -C {folder}
fi
exec {folder}/tools/gpu_check.sh "$@"
"""


def commit_of(root):
    """Of an unpacked pack, or of a clone."""
    try:
        with open(os.path.join(root, "COMMIT")) as file:
            return file.read().strip()
    except OSError:
        found = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
        return found.stdout.strip()


def say_changes(root):
    changed = subprocess.run(["git", "-C", root, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True)
    if changed.stdout.strip():
        print("gpu_check: what is not committed is not packed:\n" + changed.stdout.rstrip(), file=sys.stderr)


def write_pack(root, path, prefix):
    """Fetches the packages where they are not in `prefix` yet."""
    say_changes(root)
    if not glob.glob(os.path.join(prefix, "packages", "*.deb")):
        subprocess.run([sys.executable, os.path.join(root, "tools", "build_without_root.py"), "--only", "fetch", "--prefix", prefix],
                       check=True)
    commit = commit_of(root)
    sources = subprocess.run(["git", "-C", root, "archive", "--format=tar", commit], check=True, capture_output=True).stdout
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=6) as pack:
        with tarfile.open(fileobj=io.BytesIO(sources)) as archive:
            for member in archive:
                pack.addfile(member, archive.extractfile(member) if member.isreg() else None)
        for package in sorted(glob.glob(os.path.join(prefix, "packages", "*.deb"))):
            pack.add(package, os.path.join("build", "prefix", "packages", os.path.basename(package)))
        mark = tarfile.TarInfo("COMMIT")  # last: its presence says that all is there
        mark.size = len(commit) + 1
        pack.addfile(mark, io.BytesIO(commit.encode() + b"\n"))
    whole = HEADER.format(commit=commit, name=os.path.basename(path), folder=FOLDER).encode() + content.getvalue()
    if len(whole) > MOST_BYTES:
        sys.exit(f"gpu_check: the pack would have {len(whole) / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}")
    with open(path, "wb") as file:
        file.write(whole)
    print(f"{path}: {len(whole) / 1e6:.1f} MB. On the GPU machine: sh {os.path.basename(path)}")


def split(path, to):
    """Copies a file; one that is too large in parts, `to`.part000, `to`.part001, ..."""
    os.makedirs(os.path.dirname(to), exist_ok=True)
    for old in glob.glob(glob.escape(to) + ".part[0-9]*"):
        os.remove(old)
    if os.path.getsize(path) <= PART_BYTES:
        shutil.copyfile(path, to)
        return
    with open(path, "rb") as file:
        for number, part in enumerate(iter(lambda: file.read(PART_BYTES), b"")):
            with open(f"{to}.part{number:03d}", "wb") as out:
                out.write(part)


def join(folder):
    """Puts parts in a folder together, and removes them."""
    for first in glob.glob(os.path.join(glob.escape(folder), "*.part000")):
        whole = first[:-len(".part000")]
        parts = sorted(glob.glob(glob.escape(whole) + ".part[0-9]*"))
        with open(whole, "wb") as out:
            for part in parts:
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, out)
        for part in parts:
            os.remove(part)
