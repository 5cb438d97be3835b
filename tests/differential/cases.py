"""All cases in one list, with unique names."""

from casebook import handlers, output, parsing, routing, serving

BOOKS = [parsing, serving, routing, handlers, output]
CASES = [case for book in BOOKS for case in book.book]
BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), sorted(c.name for c in CASES if BY_NAME[c.name] is not c)
