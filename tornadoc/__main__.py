"""python -m tornadoc [-m module | program.py] [arguments]: run a Tornado program with the native request path.

python -m tornadoc doctor: see _doctor.py."""

from __future__ import annotations

import os
import runpy
import sys

import tornado.autoreload

import tornadoc

_USAGE = """\
usage: python -m tornadoc program.py [arguments]
       python -m tornadoc -m module [arguments]
       python -m tornadoc doctor [--json] [program.py | -m module]

Runs an unmodified Tornado program with tornadoc's native request path. The doctor tells what of it is native."""


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help") or arguments == ["-m"]:
        print(_USAGE)
        sys.exit(0 if arguments and arguments[0] in ("-h", "--help") else 2)
    if arguments[0] == "--version":
        print(f"tornadoc {tornadoc.__version__}" + ("" if tornadoc.active else f" (inactive: {tornadoc.why_inactive})"))
        return
    if arguments[0] == "doctor":
        from tornadoc import _doctor

        sys.exit(_doctor.main(arguments[1:]))
    tornadoc.install()
    # autoreload must start the program again through this module.
    tornado.autoreload._autoreload_is_main = True
    tornado.autoreload._original_argv = list(sys.argv)
    tornado.autoreload._original_spec = __spec__  # type: ignore[assignment]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


main()
