"""python -m mambaseg.compat [--cuda-to-cpu] script.py arguments ..., or -m module arguments ..."""

import os
import runpy
import sys

from mambaseg.compat import install

USAGE = "usage: python -m mambaseg.compat [--cuda-to-cpu] (script.py | -m module) arguments ..."


def main() -> None:
    arguments = sys.argv[1:]
    cuda_to_cpu = arguments[:1] == ["--cuda-to-cpu"]
    arguments = arguments[1:] if cuda_to_cpu else arguments
    as_module = arguments[:1] == ["-m"]
    arguments = arguments[1:] if as_module else arguments
    if not arguments or (arguments[0].startswith("-") and not os.path.exists(arguments[0])):
        print(USAGE, file=sys.stderr)
        sys.exit(0 if arguments in (["-h"], ["--help"]) else 2)
    if not as_module and not os.path.exists(arguments[0]):
        print(f"mambaseg.compat: expected a script, {arguments[0]} does not exist", file=sys.stderr)
        sys.exit(2)
    install(cuda_to_cpu)
    sys.argv = arguments
    if as_module:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
