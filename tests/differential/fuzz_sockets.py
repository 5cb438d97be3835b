"""Random WebSocket handshakes, with frames behind them."""


def handshake(r, tags):
    """An opening handshake, most often a good one, and frames behind it."""
    kind = "good" if r.random() < 0.6 else "bad"
    tags.add("socket:" + kind)
    lines = {
        "Host": ["h.test"],
        "Upgrade": ["websocket", "WebSocket", "h2c", None],
        "Connection": ["Upgrade", "keep-alive, Upgrade", "upgrade", "keep-alive", "close", None],
        "Sec-WebSocket-Version": ["13", "8", "7", "12", "x", None],
        "Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", "c2hvcnQ=", "not base64!", "", None],
        "Origin": [None, "http://h.test", "https://trusted.test", "http://evil.test", "null", "http://H.TEST"],
    }
    wrong = r.sample(list(lines), r.randint(1, 2)) if kind == "bad" else ()
    text = r.choice(["GET"] * 9 + ["POST", "HEAD"] if wrong else ["GET"])
    # Not where the connection is to be closed after the answer: Tornado opens such a WebSocket and closes it in the same breath.
    text += " %s HTTP/1.1\r\n" % r.choice(["/ws", "/ws", "/ws/choosy"])
    for name, values in lines.items():
        value = r.choice(values) if name in wrong else values[0]
        if value is not None:
            text += "%s: %s\r\n" % (name, value)
    for name, values in (
        ("Protocol", ["chat", "x, chat", "x"]),
        ("Extensions", ["permessage-deflate", "permessage-deflate; x=1", "y"]),
    ):
        if r.random() < 0.2:
            text += "Sec-WebSocket-%s: %s\r\n" % (name, r.choice(values))
    frames = b""
    if kind == "good":
        frames = b"".join(frame(r, tags) for _ in range(r.randint(0, 4)))
    return text.encode() + b"\r\n" + frames


def frame(r, tags):
    tags.add("socket:frames")
    first = r.choice([0x81, 0x81, 0x82, 0x89, 0x8A, 0x88, 0x01, 0x80])
    payload = r.choice([b"", b"text", "\u00e9\u4e2d".encode(), b"\x03\xe8bye", b"x" * 125, b"y" * 126, b"z" * 66000])
    if r.random() < 0.15:
        tags.add("socket:bad_frames")
        # RSV1 where a message begins that is compressed, and ends behind a ping, is Tornado's to forget.
        first = r.choice([first | (0x40 if first != 0x01 else 0x20), first | 0x10, 0x83, 0x8B, 0x09, 0x81])
        payload = r.choice([payload, b"\xff\xfe", b"\x03"])
    if first & 8 and len(payload) > 125 and r.random() < 0.8:
        payload = payload[:125]
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65536
        else b"\xff" + size.to_bytes(8, "big")
    )
    mask = bytes(r.randrange(256) for _ in range(4))
    return bytes([first]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
