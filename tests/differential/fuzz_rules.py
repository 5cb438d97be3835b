"""The permitted differences: what Tornado would have to be sent to answer as tornadoc must.

``judge(data, server)`` walks through the bytes of a connection. Where a row of the rules says that tornadoc differs from
Tornado, it rewrites the bytes so that Tornado gives what the row wants: a chunk extension goes, several empty lines go, what
follows a request that closes goes, ``Connection: x, close`` becomes ``Connection: close``, and input that Tornado waits for or
drops silently becomes input that it refuses. So what is permitted is not skipped: tornadoc's outcome of the original has to be
Tornado's outcome of the rewritten bytes, in its bytes, its log records and its close.

Where the walk does not understand the input it stops, and the rest is compared as it is.
"""

import re
import urllib.parse

MAX_HEADER_SIZE = {"small_header": 512}
MAX_BODY_SIZE = {"small_body": 64, "decompress": 2000}
SWITCHING = (b"/ws", b"/status?code=101")  # targets whose answer can end HTTP on the connection
MAX_LINES = 1000
MAX_LEADING_LINES = 8
MAX_SIZE_DIGITS = 62
MAX_EXTENSIONS = 16384
MAX_TRAILERS = 16384
REFUSED = b"\x00\r\n\r\n"  # what Tornado answers with 400, wherever a head is expected
REFUSED_SIZE = b"x\r\n"  # and where a chunk size is expected

_BLANK = re.compile(rb"(?:\r?\n)*")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_START = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^\x00-\x20\x7f]+) HTTP/1\.([0-9])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_LIMIT = re.compile(rb"/stream(?:-async)?\?(?:[^&]*&)*?limit=([0-9]{1,9})(?:&|$)")  # the handler's own limit, for chunks
_HOST = re.compile(rb"[^\x00-\x20\x7f-\xff/@,?#\\]*")
_SIZE = re.compile(rb"[0-9A-Fa-f]*")
_EXTENSION = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # of a WebSocket handshake
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[^\x00-\x08\x0a-\x1f\x7f]*")


class Judgement:
    """What a connection comes to.

    data: the bytes for Tornado.
    rows: the rows that were applied, by number or, for what has none, a word.
    too_large: a 431 has to follow Tornado's last answer, or stands in the place of its 400.
    ends: the ends of the heads and of the messages in ``data``. Where Tornado closes after one of them (its handler
        answered before it had read the body, say), row 46 applies to what follows.
    refused: the wording of the last refusal in the log may differ.
    spans: what was kept, as (offset in the client's bytes, offset in data, length).
    masked: what the application saw of the Connection and Expect headers may differ.
    faulty: what a WebSocket gets may break a rule, so that tornadoc says why it closes.
    bad_reason: the client's reason to close does.
    """

    def __init__(self):
        self.data = b""
        self.rows = set()
        self.too_large = False
        self.ends = []
        self.spans = []
        self.refused = False
        self.masked = False
        self.faulty = False
        self.bad_reason = False

    def moved(self, cuts, keep=False):
        """Offsets in the client's bytes as those in ``data``, both negative where the pause is a long one.

        Those in what was replaced are left out, or with ``keep`` are where it began.
        """
        places = {(self.place(abs(cut), keep), cut < 0) for cut in cuts}
        return sorted((-at if is_long else at for at, is_long in places if at), key=abs)

    def place(self, offset, keep):
        before = None
        for old, new, length in self.spans:
            if old <= offset <= old + length:
                return new + offset - old
            if offset > old + length:
                before = new + length
        return before if keep else None


class Stop(Exception):
    """The rest of the input has been dealt with."""


class Walk:
    def __init__(self, data, server, switches, limits):
        self.data = data
        self.switches = switches
        self.limits = limits
        self.server = server
        self.at = 0
        self.result = Judgement()

    def run(self):
        try:
            while self.at < len(self.data):
                self.message()
        except Stop:
            pass
        return self.result

    def keep(self, end):
        """Passes the input up to ``end`` on as it is."""
        self.result.spans.append((self.at, len(self.result.data), end - self.at))
        self.result.data += self.data[self.at : end]
        self.at = end

    def keep_rest(self):
        self.keep(len(self.data))
        raise Stop

    def apply(self, row):
        self.result.rows.add(row)

    def refuse(self, row, by=REFUSED, too_large=False):
        """The connection ends with a 400 (a 431) here."""
        self.apply(row)
        self.result.data += by
        self.result.refused = True
        self.result.too_large = too_large
        raise Stop

    # Heads.

    def message(self):
        self.leading_lines()
        limit = MAX_HEADER_SIZE.get(self.server, 65536)
        found = _HEAD_END.search(self.data, self.at)
        end = found.end() if found else len(self.data)
        if end - self.at > limit:
            self.apply(44)
            self.result.too_large = True
            self.keep_rest()
        if not found:
            self.keep_rest()
        start, *lines = re.split(rb"\r?\n", self.data[self.at : found.start()])
        if len(lines) > MAX_LINES:
            self.refuse(49, too_large=True)
        head = _START.fullmatch(start)
        if start.startswith(b"\r") or (not head and start.endswith(b"\r")):
            self.refuse(28)
        fields = self.fields(lines)
        if not head or fields is None or not self.host_is_good(fields, head[3]):
            self.keep_rest()
        if self.switches and head[2].startswith(SWITCHING) and self.has_option(fields, b"upgrade"):
            if not head[2].startswith(b"/ws"):
                self.keep_rest()
            if self.is_handshake(head, fields):
                self.keep(found.end())
                extensions = b",".join(self.values(fields, b"sec-websocket-extensions"))
                self.frames(b"permessage-deflate" in extensions and head[2].startswith(b"/ws/choosy"))
        closes = self.rewrite_head(head, lines, fields, found.end())
        self.result.ends.append(len(self.result.data))
        limit = _LIMIT.match(head[2]) if self.limits else None
        self.max_body_size = int(limit[1]) if limit else MAX_BODY_SIZE.get(self.server, 104857600)
        self.body(fields, head[3])
        self.result.ends.append(len(self.result.data))
        if closes and self.at < len(self.data):
            self.apply(46)
            raise Stop

    def leading_lines(self):
        end = _BLANK.match(self.data, self.at).end()
        count = self.data.count(b"\n", self.at, end)
        if count > MAX_LEADING_LINES:
            self.keep_rest()
        if count > 1:
            self.apply(43)
            self.at = end
        if count == 1:
            self.keep(end)
        if self.at == len(self.data):
            raise Stop

    def fields(self, lines):
        """The header as a list of (name, value); None if it is one that is refused, as folded ones are from Tornado 6.6 on."""
        fields = []
        for line in lines:
            found = _FIELD.fullmatch(line)
            if not found:
                return None
            fields.append((found[1].lower(), found[2]))
        return fields

    def host_is_good(self, fields, minor):
        if self.server == "echo":
            return True  # no HTTPServerRequest looks at it
        values = [value for name, value in fields if name == b"host"]
        return len(values) == 1 and _HOST.fullmatch(values[0]) if values else minor == b"0"

    def values(self, fields, name):
        return [value for key, value in fields if key == name]

    def has_option(self, fields, name):
        options = b",".join(self.values(fields, b"connection")).lower().split(b",")
        return name in [option.strip(b" \t") for option in options]

    def has_bad_key(self, head, fields):
        """Is it a handshake whose key, or for which HTTP/1.0, is refused?"""
        keys = self.values(fields, b"sec-websocket-key")
        return head[2].startswith(b"/ws") and keys and (head[3] == b"0" or not _KEY.fullmatch(b",".join(keys)))

    def is_handshake(self, head, fields):
        upgrade = b",".join(self.values(fields, b"upgrade")).lower() == b"websocket"
        version = self.values(fields, b"sec-websocket-version") == [b"13"]
        keys = self.values(fields, b"sec-websocket-key")
        host = any(self.values(fields, b"host"))
        # Of another origin: the connection goes on after a 403.
        origins = self.values(fields, b"origin") or self.values(fields, b"sec-websocket-origin")
        hosts = self.values(fields, b"host")
        trusted = b"https://trusted.test" if head[2].startswith(b"/ws/choosy") else None
        welcome = all(origin == trusted or _netloc(origin) in hosts for origin in origins)
        return head[1] == b"GET" and host and welcome and upgrade and version and keys and not self.has_bad_key(head, fields)

    def frames(self, compressed):
        """What follows a WebSocket's handshake: at the first frame that breaks a rule the connection ends."""
        at = self.at
        begun = False
        self.result.faulty = True
        while at + 2 <= len(self.data):
            first, size = self.data[at], self.data[at + 1] & 0x7F
            opcode = first & 15
            control = opcode & 8
            if (
                first & (0x30 if compressed and opcode in (1, 2) else 0x70)
                or opcode & 7 > 2
                or not self.data[at + 1] & 0x80
                or (control and (size > 125 or not first & 0x80))
                or (not control and (opcode != 0) == begun)
            ):
                self.fault(at, b"\xf9\x80")
            more = {126: 2, 127: 8}.get(size, 0)
            length = int.from_bytes(self.data[at + 2 : at + 2 + more], "big") if more else size
            end = at + 6 + more + length
            if not control:
                begun = not first & 0x80
            if opcode == 8 and end <= len(self.data):
                mask = self.data[at + 2 : at + 6]
                payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.data[at + 6 : end]))
                try:
                    payload[2:].decode()
                except UnicodeDecodeError:
                    # Tornado tells nobody that, and logs what it can't decode.
                    self.result.bad_reason = True
                    self.fault(at, b"\x88\x82" + mask + self.data[at + 6 : at + 8])
                break
            at = end
        self.keep_rest()

    def fault(self, at, instead):
        self.keep(at)
        self.apply("WebSocket fault")
        self.result.data += instead
        raise Stop

    def rewrite_head(self, head, lines, fields, end):
        """Passes the head on, changed if need be; returns whether the connection ends after this message."""
        minor = head[3]
        connection = b",".join(self.values(fields, b"connection")).lower()
        expect = b",".join(self.values(fields, b"expect"))
        closes = connection == b"close"
        changed = lines
        if minor != b"1":
            framed = self.values(fields, b"content-length") or self.values(fields, b"transfer-encoding")
            closes = connection != b"keep-alive" or not (framed or head[1] in (b"GET", b"HEAD"))
        elif not closes and self.has_option(fields, b"close"):
            self.apply(45)
            changed = [b"Connection: close", *self.without(lines, b"connection")]
            closes = True
        if minor == b"0" and expect.lower() == b"100-continue":
            self.apply(48)
            changed = [*self.without(changed, b"expect"), b"Expect: x"]
        elif expect.lower() == b"100-continue" and expect != b"100-continue":
            self.apply(47)
            changed = [*self.without(changed, b"expect"), b"Expect: 100-continue"]
        if self.has_bad_key(head, fields):
            self.apply("WebSocket key")
            changed = self.without(changed, b"sec-websocket-key")
        if changed is not lines:
            self.result.masked = True
            self.result.data += b"\r\n".join([head[0], *changed]) + b"\r\n\r\n"
            self.at = end
        else:
            self.keep(end)
        return closes or self.server == "no_keep_alive"

    def without(self, lines, name):
        return [line for line in lines if not line.lower().startswith(name + b":")]

    # Bodies.

    def body(self, fields, minor):
        lengths = self.values(fields, b"content-length")
        codings = self.values(fields, b"transfer-encoding")
        if codings:
            if lengths or b",".join(codings).lower() != b"chunked":
                self.keep_rest()
            self.chunked()
        elif lengths:
            pieces = re.split(rb",[ \t]*", b",".join(lengths))
            if any(piece != pieces[0] for piece in pieces) or not re.fullmatch(rb"[0-9]{1,18}", pieces[0]):
                self.keep_rest()
            if int(pieces[0]) > MAX_BODY_SIZE.get(self.server, 104857600):
                self.keep_rest()
            self.keep(min(len(self.data), self.at + int(pieces[0])))

    def chunked(self):
        extensions = 0
        total = 0
        while True:
            start = self.at
            end = _SIZE.match(self.data, start).end()
            digits = self.data[start:end]
            if len(digits) > MAX_SIZE_DIGITS:
                self.refuse(23, REFUSED_SIZE)
            if end == len(self.data):
                self.keep_rest()
            extension = b""
            if digits and self.data[end : end + 1] == b";":
                extension = _EXTENSION.match(self.data, end)[0]
                extensions += len(extension)
                end += len(extension)
                self.apply(19)
            if extensions > MAX_EXTENSIONS:
                self.refuse(19, REFUSED_SIZE)
            line_end = self.data[end : end + 2]
            if not digits or line_end not in (b"\r\n", b"\r", b""):
                bare = line_end.startswith(b"\n") and digits.strip(b"0") == b""
                self.refuse(20 if extension else 26 if digits and bare else 17, REFUSED_SIZE)
            self.keep(start + len(digits))
            self.at = end
            self.keep(end + len(line_end))
            if line_end != b"\r\n":
                raise Stop
            size = int(digits, 16)
            if size == 0:
                self.trailers()
                return
            total += size
            if total > self.max_body_size:
                self.keep_rest()
            self.keep(min(len(self.data), self.at + size))
            chunk_end = self.data[self.at : self.at + 2]
            if not b"\r\n".startswith(chunk_end):
                self.refuse(22, b"XX")
            self.keep(self.at + len(chunk_end))
            if len(chunk_end) < 2:
                raise Stop

    def trailers(self):
        """From behind the last chunk's size line to behind the empty line."""
        size = 0
        while True:
            start = self.at
            rest = self.data[start : start + 2]
            if rest == b"\r\n":
                self.keep(start + 2)
                return
            if b"\r\n".startswith(rest):
                self.keep_rest()
            end = self.data.find(b"\r\n", start)
            line = self.data[start:end] if end >= 0 else self.data[start:]
            self.apply(24)
            found = _TRAILER.fullmatch(line)
            if not found and end < 0 and re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+|" + _TRAILER.pattern + rb"\r?", line):
                # It can still become one.
                raise Stop
            if not found or found[1].lower() in (b"content-length", b"transfer-encoding"):
                self.refuse(25 if found else 26, b"XX")
            size += len(line) + 2
            if size > MAX_TRAILERS:
                self.refuse(24, b"XX")
            if end < 0:
                raise Stop
            self.at = end + 2


def _netloc(origin):
    """Of an Origin, as Tornado finds it; None where it raises an error."""
    try:
        return urllib.parse.urlparse(origin.decode("latin-1")).netloc.lower().encode("latin-1")
    except ValueError:
        return None


def judge(data, server, switches=False, limits=True):
    """The Judgement of the bytes that a client sends to that listener.

    switches: to WebSocket, if it asks for it. limits: handlers come to setting the limits that they are asked for.
    """
    return Walk(data, server, switches, limits).run()
