"""TORNADOC=auto and TORNADOC=require: installs tornadoc in front of the first import of a module of Tornado that matters.

tornadoc.pth imports this at the start of every Python process that has the variable set; it imports nothing that is not there
already. A module outside of the package, because importing the package loads all of Tornado.
"""

import os
import sys

#: Modules that bind nothing of what is replaced, and that programs without a server import, too.
NAMES = ("_locale_data", "concurrent", "escape", "locale", "log", "options", "speedups", "template", "util")
HARMLESS = frozenset("tornado." + name for name in NAMES)


reported = []


class Loaded:
    """The loader of a module that is there already."""

    def __init__(self, module):
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        # The import system has put the spec of this import on the module: give it back its own.
        module.__spec__ = self.spec


class Trigger:
    """A finder that finds nothing until Tornado is imported, then installs tornadoc and steps aside."""

    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith("tornado.") or fullname in HARMLESS:
            return None
        package = sys.modules.get("tornadoc")
        if package is not None and getattr(package.__spec__, "_initializing", False):
            # tornadoc itself imports Tornado, and installs itself when it is ready.
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        install()
        # Taken out, or the import system would load it again from the spec of its first import.
        module = sys.modules.pop(fullname, None)
        if module is None:
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(fullname, Loaded(module), is_package=hasattr(module, "__path__"))


def install():
    """tornadoc.install(). What fails is an ImportError where tornadoc is required, else a warning."""
    try:
        import tornadoc

        tornadoc.install()
    except Exception as e:
        if os.environ.get("TORNADOC") == "require":
            raise ImportError(f"TORNADOC=require is in the environment, and tornadoc can't be installed: {e}") from e
        import warnings

        warnings.warn(f"tornadoc is inactive: {e}", RuntimeWarning, stacklevel=2)


def start():
    """Called by tornadoc.pth."""
    value = os.environ.get("TORNADOC")
    if value in ("auto", "require"):
        # A folder of packages may be read twice, as lib64 is in virtual environments.
        if not sys.flags.ignore_environment and not any(isinstance(finder, Trigger) for finder in sys.meta_path):
            sys.meta_path.insert(0, Trigger())
    elif value not in ("off", "") and not reported:
        reported.append(value)
        print(f"tornadoc: TORNADOC={value} is none of auto, require and off", file=sys.stderr)
