"""Replacements of asyncio's own create_task() and create_future() count for the native loop as well."""

import asyncio
import sys

import pytest
from sidebyside import patched

import tornadoc


def run(main):
    loop = tornadoc.EventLoop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


async def child():
    return "child"


@pytest.mark.parametrize("owner", [asyncio.BaseEventLoop, asyncio.SelectorEventLoop], ids=lambda owner: owner.__name__)
@pytest.mark.parametrize("name", ["create_task", "create_future"])
def test_a_replacement_on_a_class_of_asyncio(owner, name):
    async def main():
        seen = []
        original = getattr(owner, name)

        def replaced(loop, *args, **kwargs):
            seen.append((type(loop).__name__, len(args), sorted(kwargs)))
            return original(loop, *args, **kwargs)

        loop = asyncio.get_running_loop()
        with patched(owner, name, replaced):
            made = loop.create_task(child(), name="n") if name == "create_task" else loop.create_future()
        during = list(seen)
        assert await loop.create_task(child()) == "child"
        loop.create_future()
        return during, seen == during, made.get_loop() is loop, await made if name == "create_task" else None

    during, stayed, same_loop, _ = run(main)
    assert during == [("EventLoop", *((1, ["name"]) if name == "create_task" else (0, [])))]
    assert stayed and same_loop


def test_other_code_in_the_function():
    async def main():
        function = asyncio.BaseEventLoop.create_task
        code = function.__code__

        if sys.version_info >= (3, 11):

            def other(self, coro, *, name=None, context=None):
                coro.close()
                return "other"

        else:

            def other(self, coro, *, name=None):
                coro.close()
                return "other"

        try:
            function.__code__ = other.__code__
            made = asyncio.get_running_loop().create_task(child())
        finally:
            function.__code__ = code
        return made, await asyncio.get_running_loop().create_task(child())

    assert run(main) == ("other", "child")


def test_one_on_the_object():
    async def main():
        loop = asyncio.get_running_loop()
        loop.create_task = lambda coroutine, **kwargs: tornadoc.EventLoop.create_task(loop, coroutine, name="mine")
        return asyncio.ensure_future(child()).get_name()

    assert run(main) == "mine"
