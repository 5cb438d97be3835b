"""Makes a connection that shows a difference smaller: fewer pauses, requests, lines, bytes."""

import json
import re
import time

_HEAD_START = re.compile(rb"(?=[A-Z]+ [^ ]+ HTTP/1)")


class Shrinker:
    """``differs(fuzz)`` tells whether a connection still shows a difference; at most ``seconds`` are spent."""

    def __init__(self, differs, seconds=60):
        self.differs = differs
        self.deadline = time.monotonic() + seconds

    def shrink(self, fuzz):
        for change in ({"cuts": ()}, {"ending": "stay"}, {"ending": "eof"}, {"server": "main"}):
            fuzz = self.attempt(fuzz, fuzz.replace(**change))
        if b"X-Program: {" in fuzz.data:
            return self.shrink_programs(self.reduce(self.reduce(fuzz, self.messages), self.lines))
        for split in (self.messages, self.lines, self.words, self.characters):
            fuzz = self.reduce(fuzz, split)
        if len(fuzz.data) < 2000:
            fuzz = self.reduce(fuzz, self.characters)
        cuts = list(fuzz.cuts)
        for cut in cuts:
            fuzz = self.attempt(fuzz, fuzz.replace(cuts=[c for c in fuzz.cuts if c != cut]))
        return fuzz

    def shrink_programs(self, fuzz):
        """Drops hooks, and then steps, of the programs for diffapp/program.py."""
        done = False
        while not done:
            done = True
            lines = fuzz.data.split(b"\r\n")
            for i, line in enumerate(lines):
                if not line.startswith(b"X-Program: "):
                    continue
                for smaller in smaller_programs(json.loads(line[11:])):
                    text = b"X-Program: " + json.dumps(smaller).encode()
                    changed = self.attempt(fuzz, fuzz.replace(data=b"\r\n".join([*lines[:i], text, *lines[i + 1 :]])))
                    if changed is not fuzz:
                        fuzz = changed
                        done = False
                        break
                if not done:
                    break
        return fuzz

    def attempt(self, fuzz, changed):
        """The changed one if it still differs."""
        if time.monotonic() > self.deadline or (changed.data, changed.cuts, changed.ending, changed.server) == (
            fuzz.data,
            fuzz.cuts,
            fuzz.ending,
            fuzz.server,
        ):
            return fuzz
        return changed if self.differs(changed) else fuzz

    def reduce(self, fuzz, split):
        """Delta debugging: drops ever smaller runs of the parts that ``split`` makes of the data."""
        parts = split(fuzz.data)
        size = max(1, len(parts) // 2)
        while time.monotonic() < self.deadline:
            start = 0
            while start < len(parts) and time.monotonic() < self.deadline:
                rest = parts[:start] + parts[start + size :]
                changed = self.attempt(fuzz, self.without(fuzz, parts, start, size))
                if changed is fuzz:
                    start += size
                else:
                    fuzz = changed
                    parts = rest
            if size == 1:
                break
            size //= 2
        return fuzz

    def without(self, fuzz, parts, start, size):
        """The connection without parts[start:start+size]; its cuts stay where they were in the rest."""
        begin = sum(map(len, parts[:start]))
        length = sum(map(len, parts[start : start + size]))
        cuts = []
        for cut in fuzz.cuts:
            at = abs(cut)
            at = at if at <= begin else max(begin, at - length)
            cuts.append(-at if cut < 0 else at)
        return fuzz.replace(data=fuzz.data[:begin] + fuzz.data[begin + length :], cuts=sorted(set(cuts), key=abs))

    def messages(self, data):
        return [part for part in _HEAD_START.split(data) if part]

    def lines(self, data):
        return data.splitlines(keepends=True)

    def words(self, data):
        return [part for part in re.split(rb"(?<=[ ,;&?/])|(?<=\n)", data) if part]

    def characters(self, data):
        step = max(1, len(data) // 400)
        return [data[i : i + step] for i in range(0, len(data), step)]


def smaller_programs(program):
    """The program without each of its hooks, and without each of its steps."""
    for hook in program:
        yield {key: value for key, value in program.items() if key != hook}
    for hook, steps in program.items():
        for i in range(len(steps)):
            yield {**program, hook: steps[:i] + steps[i + 1 :]}
