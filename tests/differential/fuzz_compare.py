"""Sends random connections to Tornado and to tornadoc, one at a time or many at once, and tells where the outcomes differ."""

import copy
import itertools
import re
import time

import harness
from casebook.case import BAD_REQUEST, TOO_LARGE
from fuzz_rules import SWITCHING, judge

_SOURCE = re.compile(r"127\.77\.\d+\.\d+")
_PIECES = re.compile(r"(on_connection_close \w+) \d+$")  # how much of a body had come
_ONE_RECEIVE = 65536  # the servers receive what is longer in more than one call, and the client may be slower
_LENGTHS = re.compile(r"\('(?:Content-Length|Etag)', '[^']*'\)")
#: Targets whose handlers wait between two steps of their answer.
_WAITS = re.compile(rb"/flush\?\S*[=.]n\b|/flush-result")
_GZIP_TIME = re.compile(rb"\x1f\x8b\x08\x00....", re.S)
_FAULT = re.compile(rb"\x88[\x02-\x7d]\x03[\xea\xef][ -~]*\Z")  # close code 1002 or 1007
_REFUSAL = re.compile(r"^(Malformed HTTP message from [^:]*): .*", re.S)


class Pair:
    """A connection for tornadoc and the one for Tornado that must give the same."""

    def __init__(self, fuzz, switches=False, limits=True):
        self.fuzz = fuzz
        self.switches = switches
        self.judgement = judge(fuzz.data, fuzz.server, switches, limits)
        self.rows = set(self.judgement.rows)
        self.subject_case = fuzz.case()
        #: Does the server begin with a part of the input, which one is chance, or receive what Tornado does not?
        self.in_parts = (
            ("turn",) in self.subject_case.steps
            or len(fuzz.data) > _ONE_RECEIVE
            # Tornado is sent the end later, and so the rest in pieces.
            or fuzz.ending == "eof_at_once"
            or any(old != new for old, new, _ in self.judgement.spans)
            # Or is there a pause in what the rules replace?
            or self.judgement.moved(fuzz.cuts) != self.judgement.moved(fuzz.cuts, keep=True)
        )
        changed = fuzz.replace(data=self.judgement.data, cuts=self.judgement.moved(fuzz.cuts))
        if fuzz.ending == "eof_at_once":
            # Tornado loses what it has not begun to answer.
            self.rows.add("request before the end")
            changed = changed.replace(ending="eof")
        self.reference_case = changed.case()
        self.settled_case = None
        if ("turn",) in self.subject_case.steps:
            long_pauses = [-abs(cut) for cut in self.judgement.moved(fuzz.cuts, keep=True)]
            self.settled_case = changed.replace(cuts=long_pauses).case()
        self.other_case = changed.replace(cuts=self.judgement.moved(fuzz.cuts, keep=True)).case()

    def cut_short(self):
        """Shorter pairs: up to each message after which Tornado may close without having read it all."""
        for end in self.judgement.ends:
            if end < len(self.judgement.data):
                pair = Pair(self.fuzz)
                pair.judgement.refused = pair.judgement.too_large = False
                data = self.judgement.data[:end]
                short = self.fuzz.replace(data=data, cuts=self.judgement.moved(self.fuzz.cuts))
                pair.reference_case = short.replace(ending="eof" if short.ending == "eof_at_once" else short.ending).case()
                yield pair

    def difference(self, reference, subject, among_others=False):
        """None if tornadoc's outcome is the right one, else a text. ``among_others``: not all records may be there."""
        reference, subject = copy.copy(reference), copy.copy(subject)
        if self.judgement.too_large and (reference.closed if among_others else came_to_an_end(reference)):
            reference.data = reference.data.removesuffix(BAD_REQUEST) + TOO_LARGE
        for outcome in (reference, subject):
            if self.fuzz.server == "gzip":
                outcome.data = _GZIP_TIME.sub(b"\x1f\x8b\x08\x00TIME", outcome.data)
            outcome.records = [r for r in outcome.records if not is_own_error(r)]
            if self.fuzz.server == "traceback":
                # The answer to HEAD tells the length of a page that has file names in it.
                outcome.data = re.sub(rb"(?m)^(Content-Length|Etag): .*\r$", rb"\1: OF TRACEBACK\r", outcome.data)
                outcome.records = [dict(r, message=_LENGTHS.sub("OF TRACEBACK", r["message"])) for r in outcome.records]
            if self.in_parts:
                outcome.records = [dict(r, message=_PIECES.sub(r"\1 N", r["message"])) for r in outcome.records]
            if self.judgement.masked:
                outcome.data = masked(outcome.data)
            if self.judgement.refused:
                outcome.records = [dict(r, message=_REFUSAL.sub(r"\1", r["message"])) for r in outcome.records]
            if self.judgement.masked:
                outcome.records = [dict(r, message=masked(r["message"].encode()).decode()) for r in outcome.records]
        if reference.reset and not subject.reset:
            # Tornado closes with input unread: the reset overtakes the end of its answer.
            if normal(subject).startswith(normal(reference).removesuffix(TOO_LARGE)):
                reference.data = subject.data
        if self.judgement.faulty:
            # Tornado closes without a word.
            if self.judgement.bad_reason:
                reference.data = re.sub(rb"\x88\x02..\Z", b"", reference.data, flags=re.S)
            said = _FAULT.search(subject.data)
            if said and not reference.data.endswith(said[0]):
                subject.data = subject.data[: said.start()]
        if self.switches and (reference.reset or subject.reset):
            # Both close a WebSocket with bad frames like that, and either's last frames may be lost.
            first, second = sorted((reference, subject), key=lambda outcome: len(outcome.data))
            if second.data.startswith(first.data):
                reference.data = subject.data
        return harness.difference(self.subject_case, reference, subject)


def is_own_error(record):
    """Tornado's flush() behind an answer that is ended sets a future twice; tornadoc has no such accident."""
    return record["logger"] == "asyncio" and record["error"] == ["InvalidStateError", "invalid state"]


def came_to_an_end(outcome):
    """Has Tornado refused the last message? It does not look at one behind a handler that never answers."""
    return outcome.data.endswith(BAD_REQUEST) or any("Unsatisfiable read" in r["message"] for r in outcome.records)


def did_the_same(*outcomes):
    """Have the handlers, until one may have heard of the end?"""
    first, second = ((normal(o), harness.normal_records(before_the_close(o.records))) for o in outcomes)
    return first == second


def before_the_close(records):
    return list(itertools.takewhile(lambda r: "on_connection_close" not in r["message"], records))


def without_closes(records):
    return [r for r in records if "on_connection_close" not in r["message"]]


def normal(outcome):
    return harness.normal_bytes(outcome.data)


def masked(data):
    """``data`` without what the application saw of the Connection and Expect headers, and what depends on the length of that."""
    data = re.sub(rb"\('(?:Connection|Expect)', '[^']*'\)(, )?", b"", data)
    data = re.sub(rb"'(?:Connection|Expect)'(, |(?=\]))", b"", data).replace(b", ]", b"]")
    return re.sub(rb"(?m)^(Content-Length|Etag): .*\r$", rb"\1: MASKED\r", data)


def run_alone(subject, case):
    return subject.run(case, "whole")


class Batch:
    """Many connections at once through one server, in step: all send up to their next pause, then the server's loop turns."""

    def __init__(self, subject, cases):
        subject.start()
        self.subject = subject
        self.sources = {"127.77.%d.%d" % (i // 200, i % 200 + 1): i for i in range(len(cases))}
        self.exchanges = []
        try:
            for source, case in zip(self.sources, cases):
                self.exchanges.append(harness.Exchange(subject, case, "whole", source))
        except OSError:
            self.close()
            raise
        self.unclaimed = []  # the records that name no client

    def close(self):
        for exchange in self.exchanges:
            exchange.sock.close()

    def run(self):
        """The outcomes in the order of the cases; harness.Crashed if the server is lost."""
        try:
            running = [(exchange, iter(exchange.case.steps)) for exchange in self.exchanges]
            while running:
                settles = False
                unfinished = []
                for exchange, steps in running:
                    pause = self.advance(exchange, steps)
                    settles = settles or pause == "settle"
                    if pause:
                        unfinished.append((exchange, steps))
                running = unfinished
                if settles:
                    self.settle()
                else:
                    self.subject.ping()
                    self.drain()
            self.settle()
            for exchange in self.exchanges:
                if not exchange.gone:
                    exchange.do_close()
            self.settle()
            return [exchange.outcome for exchange in self.exchanges]
        finally:
            self.close()

    def advance(self, exchange, steps):
        """Takes the steps up to the next pause and returns what it is; None at the end."""
        for step in steps:
            if isinstance(step, bytes):
                try:
                    exchange.send(step)
                except TimeoutError as e:
                    exchange.outcome.trouble = str(e)
                    return None
            elif step[0] in ("turn", "settle"):
                return step[0]
            else:
                getattr(exchange, "do_" + step[0])(*step[1:])
        return None

    def drain(self):
        """Whether anything has arrived."""
        return sum(exchange.drain() for exchange in self.exchanges) > 0

    def settle(self):
        quiet = 0
        while quiet < 2:
            records = self.subject.sync()
            for record in records:
                found = _SOURCE.search(record["message"]) or _SOURCE.search(str(record["error"]))
                index = self.sources.get(found[0]) if found else None
                if index is None:
                    self.unclaimed.append(record)
                else:
                    self.exchanges[index].outcome.records.append(record)
            quiet = 0 if self.drain() or records else quiet + 1


def lone(case):
    """Does the case stop the server, so that it can't be one of many?"""
    return ("freeze",) in case.steps


class Report:
    """What a run has come to.

    ``requests`` and ``connections``: sent. ``rows`` and ``tags``: counts. ``failures``: pairs of Fuzz and text. ``unconfirmed``:
    those that differed among many and not alone.
    """

    def __init__(self):
        self.requests = 0
        self.connections = 0
        self.rows = {}
        self.tags = {}
        self.failures = []
        self.unconfirmed = []
        self.started = time.monotonic()

    def add(self, pair):
        self.connections += 1
        self.requests += pair.fuzz.count
        for counts, keys in ((self.rows, pair.rows), (self.tags, pair.fuzz.tags)):
            for key in keys:
                counts[key] = counts.get(key, 0) + 1


class Comparison:
    """Takes connections through both servers."""

    def __init__(self, reference, subject):
        self.reference = reference
        self.subject = subject
        self.excuse = None
        self.lost = None

    def stop(self):
        self.reference.stop()
        self.subject.stop()

    def alone(self, fuzz):
        """The difference that the connection shows by itself, as text.

        None if there is none, or a permitted one that only Tornado's behaviour shows: ``self.excuse`` says which.
        """
        if any(b" " + target in fuzz.data for target in SWITCHING) and not self.differs(Pair(fuzz, switches=True)):
            return None
        if b"limit=" in fuzz.data and not self.differs(Pair(fuzz, limits=False)):
            return None
        return self.differs(Pair(fuzz))

    def differs(self, pair):
        self.excuse = None
        fuzz = pair.fuzz
        subject = run_alone(self.subject, pair.subject_case)
        expected = run_alone(self.reference, pair.reference_case)
        problem = pair.difference(expected, subject)
        if problem and pair.other_case.steps != pair.reference_case.steps:
            # A pause within what was replaced: what came before it may have been handled.
            if not pair.difference(run_alone(self.reference, pair.other_case), subject):
                return None
        if problem and fuzz.ending == "eof_at_once":
            # Tornado may lose the last request, which is no defect in tornadoc either; when handlers hear of the end is chance.
            reference = run_alone(self.reference, fuzz.replace(data=pair.judgement.data).case())
            late = copy.copy(subject)
            for outcome in (reference, late):
                outcome.records = sorted(without_closes(outcome.records), key=repr)
            if not pair.difference(reference, late):
                self.excuse = "lost by both"
                return None
            # A handler that waits hears of it in the middle of its answer, as Tornado's do when the end comes a little later.
            if _WAITS.search(fuzz.data) and subject.data and subject.closed and expected.data.startswith(subject.data):
                self.excuse = "the end while a handler waits"
                return None
        if problem and pair.settled_case and b" /stream" in fuzz.data:
            # A handler may answer a piece of the body before what is wrong with the rest has come, if the pauses are long enough.
            if not pair.difference(run_alone(self.reference, pair.settled_case), subject):
                self.excuse = "a piece before the rest"
                return None
        if problem and 22 in pair.rows and b" /stream-no-method" in fuzz.data:
            # A handler that fails on the chunk itself: Tornado does not come to what follows it either.
            if not pair.difference(run_alone(self.reference, pair.subject_case), subject):
                self.excuse = "22, behind a handler that fails"
                return None
        if problem and 46 in pair.rows:
            # A handler that never answers: Tornado does not come to what follows either.
            reference = run_alone(self.reference, pair.subject_case)
            if did_the_same(reference, expected) and not pair.difference(reference, subject):
                self.excuse = "46, behind a handler that never answers"
                return None
        if problem:
            for short in pair.cut_short():
                reference = run_alone(self.reference, short.reference_case)
                if reference.closed and not short.difference(reference, subject):
                    self.excuse = "46, which the handler decides"
                    return None
        return problem

    def together(self, pairs):
        """The pairs that are suspect after a batch: those that differ, or all if the unclaimed records do or a server is lost."""
        try:
            sides = [
                Batch(self.reference, [pair.reference_case for pair in pairs]),
                Batch(self.subject, [pair.subject_case for pair in pairs]),
            ]
            outcomes = [side.run() for side in sides]
        except (harness.Crashed, OSError) as e:
            codes = [side.stop() for side in (self.reference, self.subject)]
            self.lost = "%s among %d connections; exit status of reference and subject: %s" % (e, len(pairs), codes)
            return list(pairs)
        suspects = [pair for pair, *both in zip(pairs, *outcomes) if pair.difference(*both, among_others=True)]
        logs = [sorted(harness.normal_records(side.unclaimed), key=repr) for side in sides]
        if logs[0] != logs[1]:
            return list(pairs)
        return suspects

    def run(self, fuzzes, report, size=48, on_failure=None, alone_every=16):
        """Compares all of ``fuzzes`` (an iterable), ``size`` at once, one batch in ``alone_every`` one by one."""
        batch = []
        number = 0
        for fuzz in itertools.chain(fuzzes, [None]):
            if fuzz is not None:
                pair = Pair(fuzz)
                report.add(pair)
                batch.append(pair)
                if len(batch) < size:
                    continue
            number += 1
            together = [] if number % alone_every == 0 else [p for p in batch if not lone(p.subject_case)]
            self.lost = None
            before = len(report.failures)
            suspects = self.together(together) if together else []
            checked = suspects + [p for p in batch if p not in together]
            for pair in checked:
                problem = self.alone(pair.fuzz)
                if problem:
                    report.failures.append((pair.fuzz, problem))
                    if on_failure:
                        on_failure(pair.fuzz, problem)
                elif self.excuse:
                    report.rows[self.excuse] = report.rows.get(self.excuse, 0) + 1
                elif pair in suspects and len(suspects) < len(together):
                    report.unconfirmed.append(pair.fuzz)
            if self.lost and len(report.failures) == before:
                names = "; it takes several of %s to %s" % (batch[0].fuzz.name, batch[-1].fuzz.name)
                report.failures.append((together[0].fuzz, self.lost + names))
            batch = []
