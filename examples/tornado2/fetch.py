"""The client of Tornado 2's documentation of IOStream: a stream, and a callback for each step.

    python -m tornadoc examples/tornado2/fetch.py 127.0.0.1 8888 /
"""

import socket
import sys

from tornado import ioloop, iostream

host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def send_request():
    stream.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    stream.read_until(b"\r\n\r\n", on_headers)


def on_headers(data):
    headers = {}
    for line in data.split(b"\r\n"):
        parts = line.split(b":")
        if len(parts) == 2:
            headers[parts[0].strip()] = parts[1].strip()
    stream.read_bytes(int(headers[b"Content-Length"]), on_body)


def on_body(data):
    print(data.decode())
    stream.close()
    ioloop.IOLoop.instance().stop()


s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
stream = iostream.IOStream(s, io_loop=ioloop.IOLoop.instance())
stream.connect((host, port), send_request)
ioloop.IOLoop.instance().start()
