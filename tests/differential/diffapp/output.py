"""Handlers about output: writes, flushes, lengths, status lines, headers, ETags, redirects, templates."""

import asyncio
import datetime
import logging

from tornado import iostream, template, web

from diffapp.control import nap

log = logging.getLogger("app")

TEMPLATES = {
    "base.html": "<html><head></head><body>{% block body %}{% end %}</body></html>",
    "page.html": "{% extends base.html %}{% block body %}{{ name }} {% raw name %} {{ shout('x') }} "
    "{% module Box(1) %}{% module Box(2) %}{{ reverse_url('named', 'a b', 3) }} "
    "{{ handler.get_status() }} {{ request.path }}{% end %}",
    "bad.html": "{{ nosuchname }}",
    "syntax.html": "{% if %}",
}


def shout(handler, text):
    return text.upper() + handler.request.method


class Box(web.UIModule):
    def render(self, number):
        return "[%d %s]" % (number, self.request.method)

    def embedded_css(self):
        return ".box {}"

    def embedded_javascript(self):
        return "box()"

    def html_head(self):
        return "<meta>"


def loader():
    return template.DictLoader(TEMPLATES)


class Write(web.RequestHandler):
    """Writes of every accepted type."""

    def get(self, kind):
        getattr(self, "do_" + kind)()

    post = put = get

    def head(self, kind):
        self.get(kind)

    def do_str(self):
        self.write("plain")

    def do_unicode(self):
        self.write("\u00e9\u4e2d\U0001f600")

    def do_bytes(self):
        self.write(b"\x00\xff\r\n\r\n")

    def do_dict(self):
        self.write({"b": [1, None, "</script>"], "a": "\u00e9"})

    def do_dict_subclass(self):
        class D(dict):
            pass

        self.write(D(a=1))

    def do_dict_header(self):
        self.set_header("Content-Type", "text/plain")
        self.write({"a": 1})
        self.write("tail")

    def do_empty(self):
        pass

    def do_many(self):
        for i in range(100):
            self.write("%d," % i)

    def do_bytearray(self):
        self.write(bytearray(b"abc"))

    def do_strsub(self):
        class S(str):
            pass

        self.write(S("sub"))

    def do_large(self):
        self.write(b"x" * 300000)

    def do_finish_chunk(self):
        self.write("a")
        self.finish("b")

    def do_finish_dict(self):
        self.finish({"a": 1})

    def do_finish_twice(self):
        self.finish("a")
        self.finish("b")

    def do_write_after(self):
        self.finish("a")
        self.write("b")

    def do_flush_after(self):
        self.finish("a")
        self.flush()

    def do_render_after(self):
        self.finish("a")
        self.render("page.html", name="n")


class Flush(web.RequestHandler):
    """Chunks and lengths. Each step: w<text>, f (flush), a (await flush), l<n> (Content-Length), n (nap), F (finish)."""

    async def get(self):
        for step in self.get_argument("s").split("."):
            code, text = step[:1], step[1:]
            if code == "w":
                self.write(text)
            elif code == "f":
                self.flush()
            elif code == "a":
                await self.flush()
            elif code == "l":
                self.set_header("Content-Length", text)
            elif code == "n":
                await nap(0.002)
            elif code == "s":
                self.set_status(int(text))
            elif code == "h":
                self.set_header("X-Late", text)
            elif code == "e":
                self.send_error(int(text or 500))
            elif code == "r":
                self.redirect("/r")
            elif code == "x":
                raise ValueError("step x")
            elif code == "F":
                self.finish(text or None)
            elif code == "c":
                self.clear()

    post = get
    head = get


class Status(web.RequestHandler):
    REASONS = {
        "plain": "Fine Indeed",
        "latin": "caf\u00e9",
        "wide": "\u4e2d",
        "crlf": "a\r\nX-Evil: 1",
        "nul": "a\x00b",
        "tab": "a\tb",
        "empty": "",
        "markup": "<i>",
        "bytes": b"bytes",
    }

    def get(self):
        code = int(self.get_argument("code"))
        reason = self.get_argument("reason", None)
        self.set_status(code, self.REASONS[reason] if reason else None)
        if self.get_argument("body", ""):
            self.write("body")

    head = post = get


class Headers(web.RequestHandler):
    """Header steps in the query: s (set), a (add), c (clear), each with name and value."""

    SPECIAL = {
        "crlf": "a\r\nX-Evil: 1",
        "lf": "a\nb",
        "nul": "a\x00b",
        "del": "a\x7f",
        "tab": "a\tb",
        "latin": "caf\u00e9",
        "wide": "\u4e2d",
        "int": 42,
        "float": 1.5,
        "none": None,
        "bytes": b"by\xe9tes",
        "list": ["a"],
        "bool": True,
        "date": datetime.datetime(2020, 2, 29, 12, 30, 45),
        "aware": datetime.datetime(2020, 2, 29, 12, 30, 45, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        "long": "x" * 5000,
        "empty": "",
        "space": " ",
    }

    def get(self):
        for step in self.get_arguments("h"):
            action, name, value = (step.split(":", 2) + ["", ""])[:3]
            value = self.SPECIAL.get(value, value)
            if action == "s":
                self.set_header(name, value)
            elif action == "a":
                self.add_header(name, value)
            elif action == "c":
                self.clear_header(name)
            elif action == "d":
                self._headers[name] = value
        self.write("ok")

    head = get


class Etag(web.RequestHandler):
    def get(self):
        mode = self.get_argument("mode", "")
        if mode == "set":
            self.set_header("Etag", '"fixed"')
        elif mode == "weak":
            self.set_header("Etag", 'W/"fixed"')
        elif mode == "own":
            self.set_header("Content-Language", "en")
            self.set_header("Etag", '"fixed"')
            if self.check_etag_header():
                self.set_status(304)
                return
        elif mode == "status":
            self.set_status(201)
        elif mode == "lang":
            self.set_header("Content-Language", "en")
            self.set_header("Content-Encoding", "identity")
        elif mode == "empty":
            return
        self.write("etag body")

    head = post = get


class OwnEtag(web.RequestHandler):
    def compute_etag(self):
        mode = self.get_argument("mode", "")
        if mode == "none":
            return None
        if mode == "raise":
            raise ValueError("from compute_etag")
        if mode == "bytes":
            return b'"bytes"'
        return '"computed %d"' % len(b"".join(self._write_buffer))

    def get(self):
        self.write("own etag")


class Redirect(web.RequestHandler):
    def get(self):
        status = self.get_argument("status", None)
        if self.get_argument("flush", None):
            self.flush()
        self.set_header("Location", "/overwritten")
        self.write("dropped?")
        self.redirect(
            self.get_argument("to", "/there?x=1"),
            permanent=bool(self.get_argument("permanent", "")),
            status=int(status) if status else None,
        )

    post = get


class RedirectUnicode(web.RequestHandler):
    def get(self):
        self.redirect("/caf\u00e9/\u4e2d")


class Render(web.RequestHandler):
    def get(self, name):
        self.render(name, name="<n&m>")


class RenderString(web.RequestHandler):
    def get(self):
        self.write(self.render_string("page.html", name="s"))
        self.write("/" + self.reverse_url("named", "\u00e9", 1))


class FlushResult(web.RequestHandler):
    """What flush() and finish() return, and when it is done."""

    async def get(self):
        self.write("a")
        first = self.flush()
        log.info("flush done=%s", first.done())
        await first
        self.write("b")
        await asyncio.wait_for(self.flush(), 5)
        last = self.finish("c")
        log.info("finish done=%s result=%r", last.done(), last.result() if last.done() else None)


class CloseThenWrite(web.RequestHandler):
    """The application closes the stream itself and goes on writing."""

    async def get(self):
        mode = self.get_argument("mode", "")
        if mode == "flushed":
            self.write("sent")
            await self.flush()
        self.request.connection.stream.close()
        self.write("unsent")
        try:
            future = self.flush()
            log.info("future exception %s", type(future.exception()).__name__)
            await future
        except iostream.StreamClosedError:
            log.info("StreamClosedError")
        if mode != "open":
            self.finish()


class Detach(web.RequestHandler):
    async def get(self):
        stream = self.detach()
        mode = self.get_argument("mode", "")
        await stream.write(b"raw bytes\n")
        if mode == "echo":
            line = await stream.read_until(b"\n")
            await stream.write(b"echo " + line)
        if mode == "head":
            self.write("x")
        if mode != "leave":
            stream.close()


class DetachAfterHeaders(web.RequestHandler):
    """An upgrade by hand: 101 by finish(), then the raw stream."""

    async def get(self):
        self.set_status(101)
        self.set_header("Upgrade", "echo")
        self.set_header("Connection", "Upgrade")
        await self.finish()
        stream = self.request.connection.detach()
        data = await stream.read_bytes(4)
        await stream.write(data[::-1])
        stream.close()


class ConnectionWrites(web.RequestHandler):
    """Writes by the connection's own methods, past the handler."""

    def get(self):
        from tornado.httputil import HTTPHeaders, ResponseStartLine

        connection = self.request.connection
        mode = self.get_argument("mode", "")
        headers = HTTPHeaders({"X-By": "connection"})
        if mode == "length":
            headers["Content-Length"] = "5"
        if mode == "version":
            connection.write_headers(ResponseStartLine("HTTP/3.9", 299, "Odd"), headers, b"chunk")
        elif mode == "crlf":
            headers._as_list["X-Bad"] = ["a\r\nX-Evil: 1"]
            connection.write_headers(ResponseStartLine("", 200, "OK"), headers)
        else:
            connection.write_headers(ResponseStartLine("", 200, "OK"), headers)
            connection.write(b"hello")
        connection.finish()
        self._finished = True


class TimeOfDate(web.RequestHandler):
    """Headers at the very start and after clear()."""

    def get(self):
        self.write(repr([n for n, v in self._headers.get_all()]))
        self.clear_header("Date")
        self.clear_header("Server")
        self.clear_header("Content-Type")
        self.write("!")
