"""The upstream sources that Debian has, for a project whose distributions on the package index leave out its tests.

apt fetches them with lists of its own, so any user may, and the machine's settings stay as they are. The archive is the one that
the machine gets its packages from; apt checks its signature.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

#: A release whose versions stay as they are.
RELEASE = "trixie"
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Seconds for a command of apt.
_LIMIT = 600


class NoSource(Exception):
    """The sources can't be had; the text tells why."""


def archive_of(targets: str) -> str:
    """Where Debian itself is among the archives, of which apt tells one a line. Raises NoSource."""
    for line in targets.splitlines():
        # Others, such as that of security updates, have no sources of everything.
        if re.fullmatch(r"https?://\S+/debian/?", line.strip()):
            return line.strip()
    raise NoSource("apt has no archive of Debian's")


def _apt(*arguments: str, folder: pathlib.Path | None = None, settings: pathlib.Path | None = None) -> str:
    variables = {**os.environ, "LC_ALL": "C.UTF-8"}
    if settings is not None:
        variables["APT_CONFIG"] = str(settings)
    command = ["apt-get", "-qq", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT
        )
    except FileNotFoundError:
        raise NoSource("there is no apt-get") from None
    except subprocess.TimeoutExpired:
        raise NoSource(f"{' '.join(command)}: did not end in {_LIMIT} s") from None
    if done.returncode != 0:
        raise NoSource(f"{' '.join(command)}:\n{done.stderr[-3000:]}")
    return done.stdout


def fetch(package: str, folder: pathlib.Path) -> pathlib.Path:
    """The archive of the upstream sources of a source package, downloaded into `folder`, which is made anew. Raises NoSource."""
    folder = folder.resolve()
    archive = archive_of(_apt("indextargets", "--format", "$(REPO_URI)"))
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (folder / "apt" / name).mkdir(parents=True)
    apt = folder / "apt"
    (apt / "sources.list").write_text(f"deb-src [signed-by={KEYRING}] {archive} {RELEASE} main\n", encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": apt / "parts",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        # Its own user may not write into this folder.
        "APT::Sandbox::User": "root",
    }
    (apt / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()), encoding="utf-8")
    _apt("update", settings=apt / "apt.conf")
    _apt("source", "--download-only", "--tar-only", package, folder=folder, settings=apt / "apt.conf")
    shutil.rmtree(apt)
    (found,) = folder.glob("*.orig.tar.*")
    return found
