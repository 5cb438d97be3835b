"""The environment of an application: a virtual one of its own with tornadoc in it, and the sources that have its tests.

All of it lies in build/compat, a folder for each application: `venv`, `source`, and what the runs said.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import compat_debian
from compat_applications import Application

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "compat"
#: Where the processes of the tests find the recorder and the witness.
HELPERS = (HERE, HERE.parent / "suite")
#: Seconds for a command of pip.
PIP_LIMIT = 1200


class EnvironmentFailure(Exception):
    """An environment could not be made; the text has the end of what pip said."""


def _pip(python: pathlib.Path | str, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    try:
        done = subprocess.run(
            command, cwd=BUILD, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PIP_LIMIT
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentFailure(f"{' '.join(command)}: did not end in {PIP_LIMIT} s") from None
    if done.returncode != 0:
        raise EnvironmentFailure(f"{' '.join(command)}:\n{done.stdout.decode('utf-8', 'replace')[-3000:]}")


def build_wheel() -> pathlib.Path:
    """A wheel of tornadoc, of this tree as it is."""
    folder = BUILD / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT))
    (wheel,) = folder.glob("tornadoc-*.whl")
    return wheel


def has_pytest_settings(folder: pathlib.Path) -> bool:
    """Does pytest find its settings in this folder itself?"""
    sections = {"pyproject.toml": "[tool.pytest", "setup.cfg": "[tool:pytest]", "tox.ini": "[pytest]"}
    if any((folder / name).exists() for name in ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")):
        return True
    return any(
        (folder / name).exists() and section in (folder / name).read_text(encoding="utf-8") for name, section in sections.items()
    )


class Environment:
    """The environment of one application. `prepare()` makes what is missing."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.folder = BUILD / application.name
        self.venv = self.folder / "venv"
        self.python = self.venv / "bin" / "python"
        self.source = self.folder / "source"
        self._stamp = self.venv / "compat-installed"

    def prepare(self, wheel: pathlib.Path, fresh: bool = False) -> None:
        """Install tornadoc, the application and what its tests need. `fresh`: all of it anew. Raises EnvironmentFailure."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted = f"{sys.version}\n{self.application.requirement}\n{self.application.requirements}\n"
        if fresh or not self._stamp.exists() or self._stamp.read_text(encoding="utf-8") != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(self.venv)], check=True)
            _pip(self.python, "install", str(wheel), self.application.requirement, *self.application.requirements)
            self._put_helpers()
            self._fetch_source()
            self._stamp.write_text(wanted, encoding="utf-8")
        else:
            _pip(self.python, "install", "--no-deps", "--force-reinstall", str(wheel))
        if self.application.tests:
            self._write_files()

    def version_of(self, package: str) -> str:
        """The version of a package that is installed in it."""
        code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
        done = subprocess.run(
            [str(self.python), "-I", "-c", code, package], check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def _put_helpers(self) -> None:
        done = subprocess.run(
            [str(self.python), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        )
        lines = [*map(str, HELPERS), "import compat_witness"]
        pathlib.Path(done.stdout.strip(), "compat.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _download(self) -> pathlib.Path:
        """The archive with the sources of the version that is installed."""
        name = self.application.name
        version = self.version_of(name)
        download = self.folder / "download"
        if self.application.debian:
            try:
                archive = compat_debian.fetch(self.application.debian, download)
            except compat_debian.NoSource as e:
                raise EnvironmentFailure(f"Debian's {self.application.debian}: {e}") from None
            if f"_{version}" not in archive.name:
                raise EnvironmentFailure(f"{archive.name} does not have the sources of {version}")
            return archive
        shutil.rmtree(download, ignore_errors=True)
        kind, suffix = ("--only-binary", "whl") if self.application.wheel else ("--no-binary", "tar.gz")
        _pip(self.python, "download", "--no-deps", kind, name, "-d", str(download), f"{name}=={version}")
        (archive,) = download.glob(f"*.{suffix}")
        return archive

    def _fetch_source(self) -> None:
        """The sources of the version that is installed, unpacked."""
        shutil.rmtree(self.source, ignore_errors=True)
        if not self.application.tests or self.application.own_tests:
            return
        archive = self._download()
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(self.source)
            return
        unpacked = self.folder / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        with tarfile.open(archive) as file:
            # None: the default of a Python without filters.
            file.extraction_filter = getattr(tarfile, "data_filter", None)
            file.extractall(unpacked)
        (root,) = unpacked.iterdir()
        os.rename(root, self.source)
        unpacked.rmdir()

    def _write_files(self) -> None:
        """What the application's entry wants to have in the sources, and settings for pytest if it has none."""
        if self.application.own_tests:
            shutil.copytree(HERE / self.application.own_tests, self.source, dirs_exist_ok=True)
        for path, content in self.application.files:
            (self.source / path).parent.mkdir(parents=True, exist_ok=True)
            (self.source / path).write_text(content, encoding="utf-8")
        if not has_pytest_settings(self.source):
            # Or pytest would find this project's settings further up.
            (self.source / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
