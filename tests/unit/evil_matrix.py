"""Runs the scenarios of evil_world for several implementations and compares what was seen."""

import functools
import importlib
import json
import subprocess

import evil_world
import pytest
from inprocess import HERE, run_python

TIMEOUT = 280


@functools.lru_cache(None)
def seen(module, implementation):
    """What was seen in each scenario, by "hook/action". A crash is what was seen, too; the next scenario is tried after it."""
    found = {}
    after = ""
    while True:
        try:
            result = run_python(str(HERE / "evil_world.py"), module, implementation, "", after, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as e:
            return {**found, "": {"problem": f"no end in {TIMEOUT} s: {(e.stderr or b'')[-2000:]!r}"}}
        begun = None
        for line in map(json.loads, result.stdout.splitlines()):
            begun = line.get("begin", begun)
            if "scenario" in line:
                found[line["scenario"]] = line
        if result.returncode == 0:
            return found
        if begun is None or begun == after or begun in found:
            return {**found, "": {"problem": f"exit status {result.returncode}: {result.stderr[-3000:]}"}}
        problem = f"crashed or hangs, exit status {result.returncode}\n{result.stderr[-3000:]}"
        found[begun] = {"scenario": begun, "notes": [], "skipped": False, "problem": problem}
        after = begun


def check(module, hook, implementation, reference="reference", differs=(), same=None):
    """Fails unless all actions in this hook came out as with the reference; for those in `differs`, only nothing may break.

    `same` makes one note of two that mean the same."""
    ours = seen(module, implementation)
    wanted = seen(module, reference) if reference else {}
    problems = [f"{ours[''] if '' in ours else wanted['']}"] if "" in ours or "" in wanted else []
    scenarios = [name for name in ours if name.partition("/")[0] == hook]
    acted = 0
    for name in scenarios:
        outcome = ours[name]
        acted += not outcome["skipped"]
        notes = outcome["notes"]
        if outcome["problem"]:
            problems.append(f"{name}: {outcome['problem']}")
        elif "NOT FIRED" in notes or "does not end" in notes or not {"bystander: still", "bystander: served"} <= set(notes):
            problems.append(f"{name}: {notes}")
        elif reference and name not in differs and name.partition("/")[2] not in differs:
            expected = wanted.get(name, {"notes": ["no such scenario"]})["notes"]
            if [same(note) if same else note for note in notes] != [same(note) if same else note for note in expected]:
                problems.append(f"{name}: {notes}\n    reference: {expected}")
    if not acted:
        problems.append("no action was done")
    if problems:
        command = f"python tests/unit/evil_world.py {module} {implementation} {hook}/ACTION"
        pytest.fail("\n".join([command, *problems]), pytrace=False)


def actions(module):
    """The names of what is done in a module's hooks."""
    return [*evil_world.ACTIONS, *getattr(importlib.import_module(module), "MORE_ACTIONS", {})]
