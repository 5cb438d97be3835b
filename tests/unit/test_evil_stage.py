"""Whatever Python code does while the loop, a transport or a stream is calling it: no crash, and the outcome of the standard
library's loop with Tornado's classes.

evil_stage.py plays the scenarios, in a process for each implementation; a crash names its scenario, and what follows is played
in a process of its own.
"""

import fnmatch
import functools
import importlib
import json
import os
import re
import subprocess
import sys

import evil_stage_loop
import evil_stage_streams
import evil_stage_transports
import pytest
from inprocess import HERE, ROOT

PATIENCE = 200
MODULES = (evil_stage_loop, evil_stage_transports, evil_stage_streams)

#: The order within each of these is the same; between them it is nobody's promise: different connections, or handles that
#: became ready independently.
LANE = re.compile(r"(callback|from a thread|opened|stopped|done|(?!left)[\w ]+(?=: ))")

#: Patterns of scenarios whose outcome need not be asyncio's or Tornado's, and why.
DIFFERENT = {
    "*/close_the_socket_itself": "who closes a socket under its transport has what comes",
    "truth_of_eof_received/*": "asyncio takes what bool() raises for its own failure, and asks again at once; here it ends the "
    "connection like any exception of the protocol",
    "resume_writing/peer_closes_and_write": "asyncio forgets the error when the output that it tells of is empty",
    "both_directions/*": "how much is sent before the read is told is a matter of turns",
    "stale_event_of_an_http_connection/*raise*": "what an exception of a handler leads to is tested elsewhere",
    "stale_event_of_an_http_connection/*_exit": "the same",
    "release_of_much_output/*": "Tornado looks into the buffer that close() has taken away",
    "overridden_*/forget_and_raise": "a traceback keeps the stream alive for a while, or there is none",
    "two_operations/close*": "without another event, the sender of a socket that was closed waits for ever on either loop",
}
if sys.version_info >= (3, 12):
    DIFFERENT["finalizer_of_output/*"] = DIFFERENT["release_of_output/*"] = "in which turn output is released is not promised"
    DIFFERENT["pause_writing_of_writelines/*"] = "asyncio's writelines() pauses nobody in some versions"
    DIFFERENT["stale_event_of_an_http_connection/run_loop"] = "where a second run of the loop is refused differs between versions"


@functools.lru_cache(None)
def outcomes(module):
    """{implementation: {scenario: outcome}}; all implementations are run side by side."""
    implementations = getattr(module, "IMPLEMENTATIONS", ("reference", "tornadoc"))
    found = {name: {} for name in implementations}
    running = {name: start(module, name) for name in implementations}
    while running:
        for name, process in list(running.items()):
            try:
                output, errors = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                for other in running.values():
                    other.kill()
                raise
            del running[name]
            begun = ""
            for line in map(json.loads, output.splitlines()):
                begun = line.get("begin", begun)
                if "scenario" in line:
                    found[name][line["scenario"]] = line
            if process.returncode != 0:
                found[name][begun] = {"crash": f"exit status {process.returncode}\n{errors[-6000:]}"}
                running[name] = start(module, name, begun)
    return found


def start(module, implementation, after=""):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [sys.executable, str(HERE / "evil_stage.py"), module.__name__, implementation, "", after]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def is_different(name):
    return any(fnmatch.fnmatch(name, pattern) for pattern in DIFFERENT)


def seen(outcome):
    lanes = {}
    for note in outcome["notes"]:
        lane = LANE.match(note)
        lanes.setdefault(lane[1] if lane else "", []).append(note)
    return {**lanes, "problem": outcome["problem"], "skipped": outcome["skipped"]}


@pytest.mark.parametrize("module, hook", [(module.__name__, hook) for module in MODULES for hook in module.HOOKS])
def test_evil_callback(module, hook):
    played = {
        implementation: {name: outcome for name, outcome in scenarios.items() if name.partition("/")[0] == hook}
        for implementation, scenarios in outcomes(importlib.import_module(module)).items()
    }
    crashes = [
        f"{implementation}: {name}: {outcome['crash']}"
        for implementation, scenarios in played.items()
        for name, outcome in scenarios.items()
        if "crash" in outcome
    ]
    assert not crashes, "\n".join(crashes)
    reference, *others = played
    if "NOT APPLICABLE" in str(played[reference]):
        reference, *others = others
    assert played[reference]
    silent = [not is_different(name) and "NOT FIRED" in outcome["notes"] for name, outcome in played[reference].items()]
    assert not any(silent)
    differences = []
    for implementation in others:
        assert played[implementation].keys() == played[reference].keys()
        for name, outcome in played[implementation].items():
            expected = played[reference][name]
            if is_different(name):
                assert "bystander: served" in outcome["notes"], (name, outcome)
                # Where the reference does not call the hook, there is no descriptor to inherit.
                if "NOT FIRED" not in expected["notes"]:
                    assert seen(outcome).get("heir") == seen(expected).get("heir"), (name, outcome)
            elif seen(outcome) != seen(expected):
                differences.append(f"{name}\n  {reference}: {expected}\n  {implementation}: {outcome}")
    assert not differences, "\n".join(differences)
