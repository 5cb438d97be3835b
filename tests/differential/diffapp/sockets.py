"""A WebSocket that answers what it gets, and one that is choosy about its clients."""

import logging

from tornado import websocket

log = logging.getLogger("app")


class Echo(websocket.WebSocketHandler):
    def open(self):
        log.info("open %r", self.selected_subprotocol)

    def on_message(self, message):
        log.info("message %r", message)
        self.write_message(message, binary=isinstance(message, bytes))

    def on_ping(self, data):
        log.info("ping %r", data)

    def on_close(self):
        log.info("close %r %r", self.close_code, self.close_reason)


class Choosy(Echo):
    def prepare(self):
        self.set_header("X-Prepared", "1")

    def check_origin(self, origin):
        return origin == "https://trusted.test"

    def select_subprotocol(self, subprotocols):
        log.info("offered %r", subprotocols)
        return "chat" if "chat" in subprotocols else None

    def get_compression_options(self):
        return {}


ROUTES = [("/ws", Echo), ("/ws/choosy", Choosy)]
