"""Every log record, warning and unraisable exception as one JSON line, in order."""

import json
import logging
import sys
import warnings

from tornado.log import LogFormatter


class JsonLines(logging.Handler):
    """Writes ``{"logger", "level", "message", "error"}`` lines to ``stream`` (a text file, line buffered)."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def emit(self, record):
        error = None
        if record.exc_info and record.exc_info[0] is not None:
            error = [record.exc_info[0].__name__, str(record.exc_info[1])]
        try:
            message = record.getMessage()
        except Exception as e:  # a record that cannot be formatted is an observation too
            message = "UNFORMATTABLE %r %r: %s" % (record.msg, record.args, e)
        self.put(record.name, record.levelname, message, error)

    def put(self, logger, level, message, error=None):
        self.stream.write(json.dumps({"logger": logger, "level": level, "message": message, "error": error}) + "\n")
        self.stream.flush()


def capture(path):
    """Sends all records of this process to the file ``path`` and returns the handler."""
    handler = JsonLines(open(path, "w", encoding="utf-8", errors="backslashreplace"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("tornado", "tornado.access", "tornado.application", "tornado.general"):
        logging.getLogger(name).setLevel(logging.DEBUG)

    def show_warning(message, category, filename, lineno, file=None, line=None):
        handler.put("warnings", category.__name__, str(message))

    def unraisable(args):
        handler.put("unraisable", "ERROR", str(args.err_msg), [args.exc_type.__name__, str(args.exc_value)])

    warnings.simplefilter("always")
    warnings.showwarning = show_warning
    sys.unraisablehook = unraisable
    return handler


def capture_stock(path, kind):
    """Logging as programs set it up: a stock handler on the file ``path`` and the formatter of that kind, "stock" or "pretty"."""
    handler = logging.StreamHandler(open(path, "w", encoding="utf-8", errors="backslashreplace"))
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT) if kind == "stock" else LogFormatter(color=False))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    return handler
