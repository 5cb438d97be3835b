"""What `pytest -p tornadoc` does: installs tornadoc before conftest files and tests are imported, and says so in the header.

The package names this module in `pytest_plugins`.
"""

from __future__ import annotations

from typing import Any

import tornado

import tornadoc

try:
    import pytest
except ImportError:  # pragma: no cover
    raise ImportError("tornadoc._pytest_plugin needs pytest") from None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    tornadoc.install()


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    # A conftest file that names the plugin is loaded after the hook above was called.
    tornadoc.install()


def pytest_report_header(**ignored: Any) -> str:
    if tornadoc.active:
        return f"tornadoc: {tornadoc.__version__}, active, in front of Tornado {tornado.version}"
    return f"tornadoc: {tornadoc.__version__}, inactive: {tornadoc.why_inactive}"
