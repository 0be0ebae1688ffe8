#!/usr/bin/env python3
"""Builds mambaseg for a GPU where nothing can be installed: Debian's libraries, unpacked into a folder, beside pip's LibTorch.

  tools/build_without_root.py                      fetch, unpack, build, test
  tools/build_without_root.py --only fetch         on a machine with a network: keeps the packages in PREFIX/packages
  tools/build_without_root.py --only build         on one without

Needs a C++ compiler, CMake 3.25, Ninja or make, glibc 2.36 or newer, a Python (--python) with torch 2, and nvcc for the CUDA kernels.
Nothing is written outside PREFIX and the build folder. The program then runs from the build folder: its libraries are found
where they were unpacked.
"""
import argparse
import hashlib
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TRIPLES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
# Of packages.txt: what the machine or pip's torch has, and what a build without DICOM and oneDNN does not need.
LEFT_OUT = {"build-essential", "cmake", "ninja-build", "libtorch-dev", "libgloo-dev", "libopenblas0-openmp", "libdnnl-dev",
            "libinsighttoolkit5-dev"}
# What every machine with a compiler has, and what only serves other languages or the installing itself.
NOT_FOLLOWED = re.compile(r"libc6|libc-|linux-|libgcc|libstdc\+\+|gcc|g\+\+|python|perl|dpkg|debconf|cmake|libcrypt|mricron$")


def fetched(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def index_of(mirror, suite, architecture):
    """Package name to the fields of its paragraph."""
    text = lzma.decompress(fetched(f"{mirror}/dists/{suite}/main/binary-{architecture}/Packages.xz")).decode()
    packages = {}
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))
        if "Package" in fields:
            packages[fields["Package"]] = fields
    return packages


def wanted():
    with open(os.path.join(ROOT, "packages.txt")) as lines:
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [name for name in names if name not in LEFT_OUT]


def with_dependencies(names, packages):
    found, waiting = [], list(names)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        if name not in packages:
            sys.exit(f"{name}: no such package in the index of the mirror")
        found.append(name)
        for field in ("Pre-Depends", "Depends"):
            for group in packages[name].get(field, "").split(","):
                first = re.split(r"[ (:|]", group.strip(), maxsplit=1)[0]
                if first and first in packages and not NOT_FOLLOWED.match(first):
                    waiting.append(first)
    return found


def fetch(options):
    folder = os.path.join(options.prefix, "packages")
    os.makedirs(folder, exist_ok=True)
    packages = index_of(options.mirror, options.suite, options.architecture)
    names = with_dependencies(wanted(), packages)
    for number, name in enumerate(names, 1):
        fields = packages[name]
        path = os.path.join(folder, os.path.basename(fields["Filename"]))
        if not os.path.exists(path):
            content = fetched(f"{options.mirror}/{fields['Filename']}")
            got = hashlib.sha256(content).hexdigest()
            if got != fields["SHA256"]:
                sys.exit(f"{name}: the file of the mirror has the checksum {got}, expected {fields['SHA256']}")
            with open(path + ".part", "wb") as out:
                out.write(content)
            os.replace(path + ".part", path)
        print(f"package {number} of {len(names)}: {os.path.basename(path)}", flush=True)


def members(path):
    """Names and contents of an ar archive, which a Debian package is."""
    with open(path, "rb") as file:
        if file.read(8) != b"!<arch>\n":
            sys.exit(f"{path}: expected a Debian package")
        while header := file.read(60):
            size = int(header[48:58])
            yield header[:16].decode().strip().rstrip("/"), file.read(size)
            file.read(size % 2)


def links_stay_inside(prefix):
    """Points links that name a place of an installed system at the same place of the prefix."""
    for folder, folders, files in os.walk(prefix):
        for path in (os.path.join(folder, name) for name in folders + files):
            if os.path.islink(path) and os.path.isabs(target := os.readlink(path)):
                os.remove(path)
                os.symlink(os.path.relpath(prefix + target, folder), path)


def headers_of_the_architecture(include, triple):
    """An installed compiler looks into include/TRIPLE by itself; this one knows only of include."""
    folder = os.path.join(include, triple)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if not os.path.lexists(os.path.join(include, name)):
            os.symlink(os.path.join(triple, name), os.path.join(include, name))


def unpack(options):
    prefix = os.path.abspath(options.prefix)
    folder = os.path.join(prefix, "packages")
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".deb"))
    os.makedirs(os.path.join(prefix, "usr", "lib"), exist_ok=True)
    if not os.path.lexists(os.path.join(prefix, "lib")):  # as on Debian, so that all libraries lie in one folder
        os.symlink("usr/lib", os.path.join(prefix, "lib"))
    for path in paths:
        for name, content in members(path):
            if name.startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(content)) as files:
                    files.extractall(prefix)
    links_stay_inside(prefix)
    headers_of_the_architecture(os.path.join(prefix, "usr", "include"), TRIPLES[options.architecture])
    print(f"{len(paths)} packages unpacked into {prefix}")


def run(command):
    print("+ " + " ".join(command), flush=True)
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        sys.exit(1)


def build(options):
    unpack(options)
    usr = os.path.join(os.path.abspath(options.prefix), "usr")
    command = ["cmake", "--preset", "torch2", "-B", options.build, f"-DMAMBASEG_PYTHON={options.python}",
               f"-DCMAKE_PREFIX_PATH={usr}", f"-DCMAKE_LIBRARY_ARCHITECTURE={TRIPLES[options.architecture]}"]
    command += [f"-D{one}" for one in options.define]
    if not shutil.which("ninja"):
        command += ["-G", "Unix Makefiles"]
    run(command)
    run(["cmake", "--build", options.build, "--parallel", str(options.jobs), *(["--target", *options.target] if options.target else [])])


def test(options):
    run(["tests/run.sh", "native", options.build])


def main():
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", default=os.path.join(ROOT, "build", "prefix"), help="folder of the libraries (build/prefix)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "torch2"), help="build folder (build/torch2)")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch 2 (the one that runs this)")
    parser.add_argument("--mirror", default="https://deb.debian.org/debian", help="Debian mirror")
    parser.add_argument("--suite", default="bookworm", help="Debian release")
    parser.add_argument("--architecture", default=machine, help="amd64 or arm64 (of this machine)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at once (all cores)")
    parser.add_argument("--target", nargs="+", help="build these and no more")
    parser.add_argument("--define", action="append", default=[], metavar="NAME=VALUE", help="a setting of CMake, once for each")
    parser.add_argument("--only", choices=["fetch", "build", "test"], help="one step")
    options = parser.parse_args()
    steps = {"fetch": fetch, "build": build, "test": test}
    for name, step in steps.items():
        if options.only in (None, name):
            step(options)


if __name__ == "__main__":
    main()
