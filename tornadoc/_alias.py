"""Modules that tornadoc does not replace: `tornadoc.X` is the module object `tornado.X` itself, so options, loggers and caches
are shared with code that imports Tornado's."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).parent
#: What exists only here, even while everything else is Tornado's.
_OWN = ("__main__",)


class _AliasLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module("tornado." + spec.name.partition(".")[2])
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the alias's spec on Tornado's module: give it back its own.
        module.__spec__ = self._spec


class _AliasFinder(importlib.abc.MetaPathFinder):
    def __init__(self, everything: bool) -> None:
        self.everything = everything

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != "tornadoc" or not name or name.startswith("_") or name in _OWN:
            return None
        place = _HERE.joinpath(*name.split("."))
        if not self.everything and (place.is_dir() or place.with_suffix(".py").exists()):
            return None
        if importlib.util.find_spec("tornado." + name) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, _AliasLoader())


def install(everything: bool) -> None:
    """Have the import system find the aliases; `everything`: also of modules that tornadoc has a version of."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _AliasFinder)]
    sys.meta_path.insert(0, _AliasFinder(everything))
