"""Build of the extension module tornadoc._native; everything else about the package is in pyproject.toml.

Environment variables:
  TORNADOC_PURE=1                leave the extension out: tornadoc imports, but stays inactive
  TORNADOC_WERROR=1              compiler warnings are errors
  TORNADOC_SANITIZE=1            build with AddressSanitizer and UndefinedBehaviorSanitizer (see `make asan`)
  TORNADOC_SHARED_HTTP_PARSER=1  link the shared http-parser instead of the static one, for wheels that auditwheel completes
"""

import base64
import hashlib
import os
import re
import shlex
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

HERE = Path(__file__).resolve().parent
STATIC_LIBRARY = "libhttp_parser.a"
# Read by every Python process of the environment at its start, because it lies beside the packages.
STARTUP = "tornadoc.pth"


def flag(name):
    return os.environ.get(name, "") not in ("", "0")


WERROR = flag("TORNADOC_WERROR")
SANITIZE = flag("TORNADOC_SANITIZE")
SHARED = flag("TORNADOC_SHARED_HTTP_PARSER")


def version():
    # No tomllib on Python 3.10.
    return re.search(r'^version = "([^"]+)"', (HERE / "pyproject.toml").read_text("utf-8"), re.MULTILINE).group(1)


def extension():
    compile_args = ["-std=c11", "-pthread", "-fvisibility=hidden", "-fno-common"]
    compile_args += ["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wvla"]
    # CPython's own headers and method tables break these two in ways that are no mistake.
    compile_args += ["-Wno-missing-field-initializers", "-Wno-cast-function-type"]
    link_args = ["-Wl,--exclude-libs,ALL"]  # the symbols of http-parser stay inside
    if WERROR:
        compile_args.append("-Werror")
    if SANITIZE:
        sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
        compile_args += [*sanitizers, "-O1", "-g", "-UNDEBUG", "-DTORNADOC_SANITIZE"]
        link_args += sanitizers
    else:
        compile_args.append("-O2")
    if SHARED:
        compile_args.append("-DTORNADOC_SHARED_HTTP_PARSER")
    link_args.append("-lhttp_parser" if SHARED else f"-l:{STATIC_LIBRARY}")
    return Extension(
        "tornadoc._native",
        sources=sorted(glob("src/core/*.c") + glob("src/native/*.c")),
        depends=["setup.py", "pyproject.toml", *sorted(glob("src/*/*.h"))],
        include_dirs=["src"],
        # accept4() and the like; Python.h defines _GNU_SOURCE to the same value.
        define_macros=[("_GNU_SOURCE", "1"), ("TORNADOC_VERSION", f'"{version()}"')],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


def modified(path):
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


class BuildExt(build_ext):
    """Says which Debian package is missing, compiles on all cores, and leaves objects alone that are up to date."""

    def finalize_options(self):
        super().finalize_options()
        # Objects that were compiled with other flags are not up to date.
        self.build_temp += ("-werror" if WERROR else "") + ("-sanitize" if SANITIZE else "")

    def build_extensions(self):
        self.require_http_parser()
        compile_one = self.compiler.compile

        def compile_stale(sources, output_dir=None, depends=(), **options):
            objects = self.compiler.object_filenames(sources, output_dir=output_dir)
            newest = max(map(modified, depends))
            stale = [
                source
                for source, target in zip(sources, objects)
                if modified(target) <= max(newest, modified(source))
            ]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(lambda source: compile_one([source], output_dir=output_dir, **options), stale))
            return objects

        self.compiler.compile = compile_stale
        super().build_extensions()

    def require_http_parser(self):
        compiler = getattr(self.compiler, "compiler_so", None) or shlex.split(os.environ.get("CC", "cc"))
        try:
            header = subprocess.run(
                [*compiler, "-E", "-x", "c", "-"], input=b"#include <http_parser.h>\n", capture_output=True, check=False
            )
            found = header.returncode == 0
            if found and not SHARED:
                library = subprocess.run(
                    [compiler[0], f"-print-file-name={STATIC_LIBRARY}"], capture_output=True, text=True, check=False
                )
                found = os.path.isabs(library.stdout.strip())
        except FileNotFoundError:
            sys.exit(f"tornadoc: no C compiler ({compiler[0]}); on Debian: apt-get install gcc libc6-dev")
        if not found:
            what = "http_parser.h or the library" if SHARED else f"http_parser.h or {STATIC_LIBRARY}"
            sys.exit(f"tornadoc: {what} is missing; on Debian: apt-get install libhttp-parser-dev")


class BuildPy(build_py):
    """Puts the start-up file beside the package; setuptools has no name for such files."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(str(HERE / STARTUP), os.path.join(self.build_lib, STARTUP), preserve_mode=False)

    def get_outputs(self, *args, **kwargs):
        outputs = super().get_outputs(*args, **kwargs)
        return outputs if self.editable_mode else [*outputs, os.path.join(self.build_lib, STARTUP)]


class EditableWheel(editable_wheel):
    """Adds the start-up file to the wheel of an installation that links to this tree."""

    def run(self):
        super().run()
        for wheel in Path(self.dist_dir).glob("*.whl"):
            self.add_startup(wheel)

    def add_startup(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            files = [(info, archive.read(info)) for info in archive.infolist()]
        if any(info.filename == STARTUP for info, _ in files):
            return
        content = (HERE / STARTUP).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(STARTUP, content)
            for info, data in files:
                if info.filename.endswith(".dist-info/RECORD"):
                    data = f"{STARTUP},sha256={digest},{len(content)}\n".encode() + data
                archive.writestr(info, data)


# tornadoc/_support.py says the same to who imports it.
native = sys.platform.startswith("linux") and sys.version_info < (3, 14) and not flag("TORNADOC_PURE")

setup(
    ext_modules=[extension()] if native else [],
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy, "editable_wheel": EditableWheel},
)
