"""How xdist spreads the tests: one file to one worker, except for those of tests/suite."""

from __future__ import annotations

from typing import Any

import pytest

try:
    from xdist.scheduler import LoadFileScheduling
except ImportError:
    LoadFileScheduling = None


if LoadFileScheduling is not None:

    class _Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            # A case of these runs a whole module of another project's tests, in a process of its own.
            return nodeid if "suite/" in nodeid else super()._split_scope(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
        if config.getvalue("dist") == "loadfile":
            return _Scheduling(config, log)
        return None
