"""The smallest application. It knows nothing of tornadoc: run it as `python hello.py` or as `python -m tornadoc hello.py`."""

import asyncio

import tornado.web


class Hello(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write("Hello, world")


async def main() -> None:
    tornado.web.Application([(r"/", Hello)]).listen(8888, address="127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
