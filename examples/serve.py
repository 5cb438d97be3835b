"""What `make serve` serves: a page of links, JSON, a form and a stream.

Written against tornado alone. `python examples/serve.py` runs it on Tornado, `python -m tornadoc examples/serve.py` on tornadoc.
"""

import asyncio
import signal
import time

import tornado.iostream
import tornado.template
import tornado.web
from tornado.options import define, options, parse_command_line

define("port", default=8888, type=int, help="port to listen on")
define("address", default="127.0.0.1", help="address to listen on")

TEMPLATES = {
    "page.html": """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{% block title %}tornadoc{% end %}</title>
<style>
  body { font: 17px/1.6 system-ui, sans-serif; max-width: 38rem; margin: 3rem auto; padding: 0 1rem; color: #223; }
  h1 { font-size: 1.6rem } a { color: #15c } li { margin: .3rem 0 }
  code { background: #eef; padding: .1rem .3rem; border-radius: .2rem } footer { margin-top: 2rem; color: #778; font-size: .9rem }
  input { font: inherit; padding: .2rem .5rem } .error { color: #b00 }
</style>
</head>
<body>
{% block body %}{% end %}
<footer>{{ request.method }} {{ request.path }} over {{ request.version }}, served by
{% if accelerated %}tornadoc{% else %}Tornado's own code{% end %}. Requests so far: {{ served }}.
{% if request.path != "/" %}<a href="/">Back</a>{% end %}</footer>
</body>
</html>
""",
    "index.html": """{% extends "page.html" %}
{% block body %}
<h1>A Tornado application</h1>
<ul>
  <li><a href="{{ reverse_url('greeting', 'world') }}">/api/greeting/world</a>: JSON,
      with <a href="{{ reverse_url('greeting', 'world') }}?times=3">a query argument</a></li>
  <li><a href="/guestbook">/guestbook</a>: a form, with a cookie against forged requests</li>
  <li><a href="/stream">/stream</a>: a line every half second, as it comes
      (<code>curl -N localhost:{{ request.host.rpartition(':')[2] }}/stream</code>)</li>
  <li><a href="/nothing/here">/nothing/here</a>: an error page</li>
</ul>
{% end %}
""",
    "guestbook.html": """{% extends "page.html" %}
{% block title %}Guestbook{% end %}
{% block body %}
<h1>Guestbook</h1>
<form method="post">
  {% module xsrf_form_html() %}
  <input name="name" placeholder="Your name" maxlength="40" autofocus> <button>Sign</button>
</form>
{% if error %}<p class="error">{{ error }}</p>{% end %}
<ul>{% for name, when in reversed(entries) %}<li>{{ name }}, at {{ when }}</li>{% end %}</ul>
{% if not entries %}<p>Nobody has signed yet.</p>{% end %}
{% end %}
""",
    "error.html": """{% extends "page.html" %}
{% block title %}{{ status }}{% end %}
{% block body %}<h1>{{ status }}: {{ reason }}</h1>{% end %}
""",
}


class Base(tornado.web.RequestHandler):
    def prepare(self) -> None:
        self.application.settings["served"] += 1

    def get_template_namespace(self):
        namespace = super().get_template_namespace()
        namespace["served"] = self.application.settings["served"]
        namespace["accelerated"] = any(cls.__module__.partition(".")[0] == "tornadoc" for cls in type(self).__mro__)
        return namespace

    def write_error(self, status_code: int, **kwargs) -> None:
        self.render("error.html", status=status_code, reason=self._reason)


class Index(Base):
    def get(self) -> None:
        self.render("index.html")


class Greeting(Base):
    def get(self, name: str) -> None:
        try:
            times = int(self.get_query_argument("times", "1"))
        except ValueError:
            raise tornado.web.HTTPError(400, "times is not a number") from None
        self.write({"greetings": [f"Hello, {name}"] * min(max(times, 0), 10)})


class Guestbook(Base):
    def get(self) -> None:
        self.show()

    def post(self) -> None:
        name = self.get_body_argument("name")
        if not name or len(name) > 40:
            self.set_status(422)
            self.show("A name has 1 to 40 characters.")
            return
        entries = self.application.settings["entries"]
        entries.append((name, time.strftime("%H:%M:%S")))
        del entries[:-20]
        self.redirect("/guestbook", status=303)

    def show(self, error: str = "") -> None:
        self.render("guestbook.html", entries=self.application.settings["entries"], error=error)


class Stream(Base):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        try:
            for count in range(1, 11):
                self.write(f"{count} of 10 at {time.strftime('%H:%M:%S')}\n")
                await self.flush()
                await asyncio.sleep(0.5)
        except tornado.iostream.StreamClosedError:
            pass  # the client has seen enough


class NotFound(Base):
    def prepare(self) -> None:
        super().prepare()
        raise tornado.web.HTTPError(404)


def make_app() -> tornado.web.Application:
    return tornado.web.Application(
        [
            tornado.web.url(r"/", Index),
            tornado.web.url(r"/api/greeting/([^/]+)", Greeting, name="greeting"),
            tornado.web.url(r"/guestbook", Guestbook),
            tornado.web.url(r"/stream", Stream),
        ],
        default_handler_class=NotFound,
        template_loader=tornado.template.DictLoader(TEMPLATES),
        xsrf_cookies=True,
        served=0,
        entries=[],
    )


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = make_app().listen(options.port, address=options.address)
    await stop.wait()
    server.stop()
    await server.close_all_connections()


if __name__ == "__main__":
    parse_command_line()
    asyncio.run(main())
