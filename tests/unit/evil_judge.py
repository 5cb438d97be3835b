"""Runs evil_stage.py for the implementations that a module of hooks is for, and compares what was seen in each scenario.

A crash is what was seen, too: it names its scenario, and what follows is played in a process of its own.
"""

import fnmatch
import functools
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile

import evil_stage
import pytest
from inprocess import HERE, ROOT

PATIENCE = 270  # seconds for a process

#: The order within each of these is the same; between them it is nobody's promise: different connections, or handles that
#: became ready independently.
LANE = re.compile(r"(callback|from a thread|opened|stopped|done|(?!left)[\w ]+(?=: ))")


class Judge:
    """Of one module.

    different: {pattern of scenarios whose outcome need not be the reference's: why}; in these, only nothing may break
    in_order: whether the order in which unrelated things happen has to be the same as well
    chunk: hooks that a process plays: few enough for one test to wait for them, on a busy machine as well
    """

    def __init__(self, module, different=None, in_order=False, chunk=12):
        self.module = module
        self.different = different or {}
        self.in_order = in_order
        self.chunk = chunk
        self.hooks = list(importlib.import_module(module).HOOKS)

    @functools.lru_cache(None)  # noqa: B019
    def outcomes(self, chunk):
        """{implementation: {scenario: outcome}} for some of the hooks."""
        stage = evil_stage.stage_of(importlib.import_module(self.module))
        implementations = getattr(stage, "IMPLEMENTATIONS", ("reference", "tornadoc"))
        return play(self.module, implementations, self.hooks[chunk * self.chunk : (chunk + 1) * self.chunk])

    def is_different(self, name):
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.different)

    def seen(self, outcome):
        """What has to be the same."""
        if self.in_order:
            return outcome
        lanes = {}
        for note in outcome["notes"]:
            lane = LANE.match(note)
            lanes.setdefault(lane[1] if lane else "", []).append(note)
        return {**lanes, "problem": outcome["problem"], "skipped": outcome["skipped"]}

    def played(self, hook):
        """{implementation: {scenario: outcome}} of one hook."""
        return {
            implementation: {name: outcome for name, outcome in scenarios.items() if name.partition("/")[0] == hook}
            for implementation, scenarios in self.outcomes(self.hooks.index(hook) // self.chunk).items()
        }

    def check(self, hook):
        """Fails unless all deeds in this hook came out as with the reference, the first implementation."""
        played = self.played(hook)
        reference, *others = played
        if "NOT APPLICABLE" in str(played[reference]):
            reference, *others = others
        expected = played[reference]
        assert expected
        assert any(not outcome.get("skipped", True) for outcome in expected.values()), "no deed was done"
        problems = [
            f"{implementation}: {name}: {outcome['crash']}"
            for implementation, scenarios in played.items()
            for name, outcome in scenarios.items()
            if "crash" in outcome
        ]
        if not problems:
            problems = [
                f"{reference}: {name}: {outcome}"
                for name, outcome in expected.items()
                if not self.is_different(name) and {"NOT FIRED", "does not end"} & {*outcome["notes"]}
            ]
            for implementation in others:
                assert played[implementation].keys() == expected.keys()
                for name, outcome in played[implementation].items():
                    if not self.agree(name, outcome, expected[name]):
                        problems.append(f"{name}\n  {reference}: {expected[name]}\n  {implementation}: {outcome}")
        if problems:
            command = f"python tests/unit/evil_stage.py {self.module} IMPLEMENTATION {hook}/DEED"
            pytest.fail("\n".join([command, *problems]), pytrace=False)

    def agree(self, name, outcome, expected):
        if not self.is_different(name):
            return self.seen(outcome) == self.seen(expected)
        # Where the reference does not call the hook, there is no descriptor to inherit.
        heirs = [[note for note in what["notes"] if note.startswith("heir: ")] for what in (outcome, expected)]
        inherits = "NOT FIRED" in expected["notes"] or heirs[0] == heirs[1]
        served = {"bystander: still", "bystander: served"} <= {*outcome["notes"]} and "does not end" not in outcome["notes"]
        return served and inherits and not outcome["problem"]


def play(module, implementations, hooks):
    """{implementation: {scenario: outcome}}; all implementations run side by side."""
    found = {name: {} for name in implementations}
    running = {name: Player(module, name, hooks) for name in implementations}
    try:
        while running:
            for name, player in list(running.items()):
                status, output, errors = player.wait()
                del running[name]
                begun = ""
                for line in map(json.loads, output.splitlines()):
                    begun = line.get("begin", begun)
                    if "scenario" in line:
                        found[name][line["scenario"]] = line
                if status != 0:
                    crashed = begun and begun not in found[name]
                    found[name][begun] = {"crash": f"exit status {status}\n{errors[-6000:]}"}
                    if crashed:
                        running[name] = Player(module, name, hooks, begun)
    finally:
        for player in running.values():
            player.process.kill()
            player.wait()
    return found


class Player:
    """A process that plays the scenarios, from the one behind `after` on. It never waits for somebody who reads what it tells."""

    def __init__(self, module, implementation, hooks, after=""):
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, str(HERE / "evil_stage.py"), module, implementation, ",".join(hooks), after]
        self.output, self.errors = (tempfile.TemporaryFile("w+") for _ in range(2))
        self.process = subprocess.Popen(
            command, stdout=self.output, stderr=self.errors, env={**os.environ, "PYTHONPATH": path}
        )

    def wait(self):
        status = self.process.wait(timeout=PATIENCE)
        texts = []
        for file in (self.output, self.errors):
            with file:
                file.seek(0)
                texts.append(file.read())
        return status, *texts
