"""Connections: keep-alive, pipelines, Expect, upgrades, limits, proxies' headers, timeouts, other listeners."""

import gzip
import zlib

from casebook.case import Book, chunked, form, get, head, post, raw, status

book = Book()
add = book.add
OTHER = get("/dump/other")
PLAIN = get("/write/str")

# Keep-alive. Every request is followed by another one, so that what happens to bytes after a close shows.
for name, value in {
    "close": "close",
    "close_case": "Close",
    "close_upper": "CLOSE",
    "keep_alive": "keep-alive",
    "keep_alive_case": "Keep-Alive",
    "upgrade": "Upgrade",
    "empty": "",
    "token": "x-hop",
    "closed": "closed",
    "not_close": "close-not",
}.items():
    add("keep_11_" + name, get("/write/str", "Connection: " + value))
    add("keep_11_%s_next" % name, get("/write/str", "Connection: " + value), ("settle",), OTHER)
    if value.lower() != "close":
        add("keep_11_%s_pipelined" % name, get("/write/str", "Connection: " + value) + OTHER)
    add("keep_10_" + name, get("/write/str", "Connection: " + value, version="1.0"))
    add("keep_10_%s_next" % name, get("/write/str", "Connection: " + value, version="1.0"), ("settle",), OTHER)
    add("keep_12_" + name, get("/write/str", "Connection: " + value, version="1.2"))
for name, lines in {
    "keep_close": ["Connection: keep-alive, close"],
    "close_keep": ["Connection: close, keep-alive"],
    "close_token": ["Connection: close, x"],
    "token_close": ["Connection: x,Close"],
    "two_lines": ["Connection: keep-alive", "Connection: close"],
    "two_lines_2": ["Connection: close", "Connection: x"],
    "spaces": ["Connection: x ,\tclose\t, y"],
    "empty_items": ["Connection: ,,close,"],
}.items():
    add(
        "keep_list_" + name,
        get("/write/str", *lines),
        row=45,
        expect=status(200, closed=True, contains=b"\r\nConnection: close\r\n"),
    )
    add("keep_list_%s_10" % name, get("/write/str", *lines, version="1.0"))
    add(
        "keep_list_%s_101" % name,
        get("/status?code=101", *lines),
        row=45,
        expect=status(101, closed=True, contains=b"\r\nConnection: close\r\n"),
    )
add("keep_list_upgrade", get("/write/str", "Connection: keep-alive, Upgrade", "Upgrade: websocket") + OTHER)
# A WebSocket on a connection that its answer closes, and on one that would close if the protocol stayed HTTP.
SOCKET = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
for name, server, version, lines in (
    ("", "main", "1.1", ["Connection: Upgrade"]),
    ("_and_close", "main", "1.1", ["Connection: Upgrade, close"]),
    ("_and_close_lines", "main", "1.1", ["Connection: close", "Connection: upgrade"]),
    ("_10", "main", "1.0", ["Connection: Upgrade"]),
    ("_10_keep_alive", "main", "1.0", ["Connection: keep-alive, Upgrade"]),
    ("_no_keep_alive", "no_keep_alive", "1.1", ["Connection: Upgrade"]),
    ("_no_keep_alive_https", "https", "1.0", ["Connection: Upgrade"]),
):
    request = get("/ws", *SOCKET, *lines, version=version)
    options = {"server": server}
    if version == "1.0":
        options.update(row="WebSocket on HTTP/1.0", expect=status(400, closed=True))
    add("socket" + name, request, ("settle",), ("eof",), **options)
    add("socket%s_ping" % name, request, ("settle",), b"\x89\x80\0\0\0\0", ("settle",), ("eof",), **options)
    # A frame that comes with the request is delivered even where the stream is closed already.
    text = b"\x81\x82\0\0\0\0hi"
    add("socket%s_text_at_once" % name, request + text, ("settle",), ("eof",), modes="w", **options)
    add("socket%s_part_at_once" % name, request + text[:-1], ("settle",), ("eof",), modes="w", **options)
    frames = 2 * text + b"\x88\x80\0\0\0\0"
    add("socket%s_frames_at_once" % name, request + frames, ("settle",), ("eof",), modes="w", **options)
for code in ("keep-alive", "Keep-Alive"):
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
        line = "Connection: " + code
        add(
            "keep_10_%s_%s" % (method.lower(), code.lower() if code.islower() else "case"),
            get("/dump", line, method=method, version="1.0"),
            ("settle",),
            OTHER,
        )
add("keep_10_post_length", post("/dump", b"abc", "Connection: keep-alive", version="1.0"), ("settle",), OTHER)
add("keep_10_post_chunked_answer", post("/flush?s=wa.f.wb", b"abc", "Connection: keep-alive", version="1.0"), ("settle",), OTHER)
add("keep_10_no_length_answer", get("/flush?s=wa.a.wb", version="1.0"))
add("keep_10_default", get("/write/str", version="1.0"))
add("keep_10_error", get("/raises/value", "Connection: keep-alive", version="1.0"), ("settle",), OTHER)
add("keep_12_default", get("/write/str", version="1.2"))
add("keep_12_flush", get("/flush?s=wa.f.wb", version="1.2"))
add("keep_12_keep", get("/write/str", "Connection: keep-alive", version="1.2"), ("settle",), OTHER)
add("keep_error_close", get("/raises/value", "Connection: close"))
add("keep_head_close", head("/write/str", "Connection: close"))
add("keep_flush_close", get("/flush?s=wa.f.wb", "Connection: close"))
add("keep_post_unread_close", post("/raises/http", b"x" * 1000, "Connection: close"))

# Pipelines.
add("pipeline_2", PLAIN + OTHER)
add("pipeline_50", b"".join(get("/dump/%d" % i) for i in range(50)))
add("pipeline_slow", get("/slow?n=1") + get("/dump/2") + get("/slow?n=3") + get("/slow?n=4"))
add("pipeline_mixed", post("/dump", b"abc") + head("/dump") + chunked("/dump", b"x") + get("/flush?s=wa.f.wb") + PLAIN)
add("pipeline_errors", get("/raises/value") + get("/raises/http") + get("/nosuch") + PLAIN)
add("pipeline_bad_last", PLAIN + PLAIN + b"BAD\r\n\r\n")
add("pipeline_bad_middle", PLAIN + b"BAD\r\n\r\n" + PLAIN)
add("pipeline_bad_after_slow", get("/slow?n=1") + b"BAD\r\n\r\n")
add("pipeline_partial_last", PLAIN + PLAIN[:-1])
add("pipeline_split", PLAIN + PLAIN[:20], ("settle",), PLAIN[20:])
add("pipeline_static", get("/files/a.txt") + head("/files/a.txt") + get("/files/a.txt", "Range: bytes=1-3") + PLAIN)
add("pipeline_large_answers", get("/write/large") * 10 + PLAIN)
add("pipeline_large_body", post("/limit-in-prepare", b"x" * 200000) * 3 + PLAIN, modes="wr")
closing = get("/write/str", "Connection: close")
for name, data in {
    "get": closing + OTHER,
    "two": closing + OTHER + OTHER,
    "10": get("/write/str", version="1.0") + OTHER,
    "12": get("/write/str", version="1.2") + OTHER,
    "garbage": closing + b"\x00garbage\r\n\r\n",
    "slow": get("/slow?n=1", "Connection: close") + OTHER,
    "post": post("/dump", b"abc", "Connection: close") + OTHER,
    "error": get("/raises/http", "Connection: close") + OTHER,
    "no_keep_alive": PLAIN + OTHER,
}.items():
    kwargs = {"server": name if name == "no_keep_alive" else "main"}
    code = 404 if name == "error" else 200
    add(
        "after_close_" + name,
        ("settle",),
        ("freeze",),
        data,
        ("thaw",),
        modes="w",
        row=46,
        expect=status(code, closed=True, served=1),
        **kwargs,
    )
    if len(data) < 160:
        add("after_close_later_" + name, data, modes="b", **kwargs)
add(
    "after_close_large",
    ("settle",),
    ("freeze",),
    get("/write/large", "Connection: close") + OTHER * 3,
    ("thaw",),
    modes="w",
    row=46,
    expect=status(200, closed=True, served=1),
)

# One packet with everything, the end of file included.
for name, data in {"get": PLAIN, "post": post("/dump", b"abc"), "slow": get("/slow?n=1"), "pipeline": PLAIN * 3}.items():
    add("together_" + name, ("settle",), ("freeze",), data, ("thaw",), modes="w")
    add(
        "together_%s_eof" % name,
        ("settle",),
        ("freeze",),
        data,
        ("eof",),
        ("thaw",),
        modes="w",
        logs="ignored" if name == "slow" else "ordered",
        # Tornado sees the end of the stream before the handler of a lone request has run, and loses the request without a word.
        **(dict(row="request before the end", expect=status(200, closed=True)) if name == "get" else {}),
    )
    add("eof_after_" + name, data, ("settle",), ("eof",))
# The handler starts in a callback of the loop, behind a body that takes more than one turn.
for server in ("decompress", "stream_decompress"):
    data = chunked("/write/str", b"abc" * 100)
    add("together_late_eof_" + server, ("settle",), ("freeze",), data, ("eof",), ("thaw",), server=server, modes="w")
# What follows a request in the same packet must not hold its answer back.
for name, rest in {"crlf": b"\r\n", "half": PLAIN[:20], "waiting": get("/wait-for-close")}.items():
    for count in (1, 3):
        data = PLAIN * (count - 1) + get("/dump/last") + rest
        add(
            "answered_%d_before_%s" % (count, name),
            *[("settle",), ("freeze",), data, ("thaw",), ("expect", b"uri='/dump/last'"), ("settle",), ("close",)],
            modes="w",
        )
add("eof_while_slow", get("/wait-for-close"), ("settle",), ("eof",))
add("close_while_waiting", get("/wait-for-close"), ("settle",), ("close",), ("settle",))
add("close_while_waiting_post", post("/wait-for-close", b"abc"), ("settle",), ("close",), ("settle",))
add("close_while_waiting_flushed", get("/wait-for-close?flush=1"), ("expect", b"first"), ("close",), ("settle",))
add("reset_while_waiting", get("/wait-for-close"), ("settle",), ("reset",), ("settle",))
add("close_while_waiting_pipelined", get("/wait-for-close") + PLAIN, ("settle",), ("close",), ("settle",))
add("close_callback_raises", get("/close-raises"), ("settle",), ("close",), ("settle",))
add("close_idle", PLAIN, ("settle",), ("close",), ("settle",))
add("reset_idle", PLAIN, ("settle",), ("reset",), ("settle",))
add("close_unread_answer", get("/write/large"), ("settle",), ("close",), ("settle",), modes="w")
add("own_close_callback", get("/hooks/close-callback"), ("settle",), PLAIN)

# Expect.
for name, lines in {
    "plain": ["Expect: 100-continue"],
    "other": ["Expect: something"],
    "list": ["Expect: 100-continue, x"],
    "empty": ["Expect:"],
}.items():
    for length in (0, 3):
        add("expect_%s_%d" % (name, length), post("/dump", b"abc"[:length], *lines))
    add("expect_%s_next" % name, post("/dump", b"abc", *lines) + OTHER)
add("expect_waits", get("/dump", "Expect: 100-continue", "Content-Length: 3", method="POST"), ("settle",), b"abc")
add(
    "expect_waits_chunked",
    get("/dump", "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST"),
    ("settle",),
    b"3\r\nabc\r\n0\r\n\r\n",
)
add("expect_get", get("/dump", "Expect: 100-continue"))
for name, value in {"case": "100-Continue", "upper": "100-CONTINUE"}.items():
    add(
        "expect_" + name,
        post("/dump", b"abc", "Expect: " + value),
        row=47,
        expect=lambda o: None if o.data.startswith(b"HTTP/1.1 100 (Continue)\r\n\r\nHTTP/1.1 200 OK") else repr(o.data),
    )
add(
    "expect_10",
    post("/dump", b"abc", "Expect: 100-continue", "Connection: keep-alive", version="1.0"),
    row=48,
    expect=lambda o: None if o.data.startswith(b"HTTP/1.1 200 OK") else repr(o.data),
)
add("expect_stream", post("/stream", b"abc", "Expect: 100-continue"))
add("expect_stream_async", post("/stream-async", b"abc", "Expect: 100-continue"))
add("expect_stream_finish", get("/stream?mode=finish", "Expect: 100-continue", "Content-Length: 3", method="POST"))
add("expect_stream_error", get("/stream?mode=error", "Expect: 100-continue", "Content-Length: 3", method="POST"))
add(
    "expect_stream_flush",
    get("/stream?mode=flush", "Expect: 100-continue", "Content-Length: 3", method="POST"),
    ("settle",),
    b"abc",
)
add("expect_too_large", get("/dump", "Expect: 100-continue", "Content-Length: 65", method="POST"), server="small_body")
add("expect_not_found", post("/nosuch", b"abc", "Expect: 100-continue"))

# Upgrades and detached streams.
add("upgrade_h2c", get("/dump", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk") + OTHER)
add("upgrade_websocket", get("/dump", "Connection: Upgrade", "Upgrade: websocket") + OTHER)
add("upgrade_post", post("/dump", b"abc", "Connection: Upgrade", "Upgrade: h2c") + OTHER)
add("connect_next", get("/any-method", method="CONNECT") + OTHER)
add("detach", get("/detach"), ("settle",), b"ignored")
add("detach_pipelined", get("/detach") + OTHER)
add("detach_echo", get("/detach?mode=echo"), ("settle",), b"line\n")
add("detach_echo_at_once", get("/detach?mode=echo") + b"line\nrest")
add("detach_write_after", get("/detach?mode=head"))
add("detach_leave", get("/detach?mode=leave"), ("settle",), ("close",), logs="unordered")
add("detach_upgrade", get("/detach-upgrade"), ("settle",), b"abcd")
add("detach_upgrade_at_once", get("/detach-upgrade") + b"abcdefgh")

# Proxies' headers.
for name, lines in {
    "none": [],
    "forwarded": ["X-Forwarded-For: 1.2.3.4"],
    "list": ["X-Forwarded-For: 1.2.3.4, 5.6.7.8"],
    "list_tight": ["X-Forwarded-For: 1.2.3.4,5.6.7.8"],
    "two_lines": ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8"],
    "trusted_last": ["X-Forwarded-For: 1.2.3.4, 10.0.0.1"],
    "trusted_two": ["X-Forwarded-For: 1.2.3.4, 10.0.0.1, 10.0.0.2"],
    "all_trusted": ["X-Forwarded-For: 10.0.0.1, 10.0.0.2"],
    "ipv6": ["X-Forwarded-For: 2001:db8::1"],
    "ipv6_brackets": ["X-Forwarded-For: [2001:db8::1]"],
    "with_port": ["X-Forwarded-For: 1.2.3.4:80"],
    "invalid": ["X-Forwarded-For: not-an-ip"],
    "name": ["X-Forwarded-For: localhost"],
    "empty": ["X-Forwarded-For:"],
    "comma": ["X-Forwarded-For: 1.2.3.4,"],
    "high": ["X-Forwarded-For: \xe9"],
    "real": ["X-Real-Ip: 4.4.4.4"],
    "real_over": ["X-Real-Ip: 4.4.4.4", "X-Forwarded-For: 1.2.3.4"],
    "real_invalid": ["X-Real-Ip: nope", "X-Forwarded-For: 1.2.3.4"],
    "real_list": ["X-Real-Ip: 4.4.4.4, 5.5.5.5"],
    "real_trusted": ["X-Real-Ip: 10.0.0.1"],
    "real_twice": ["X-Real-Ip: 4.4.4.4", "X-Real-Ip: 5.5.5.5"],
    "scheme": ["X-Scheme: https"],
    "scheme_http": ["X-Scheme: http"],
    "scheme_case": ["X-Scheme: HTTPS"],
    "scheme_list": ["X-Scheme: http, https"],
    "scheme_bad": ["X-Scheme: gopher"],
    "scheme_empty": ["X-Scheme:"],
    "proto": ["X-Forwarded-Proto: https"],
    "proto_list": ["X-Forwarded-Proto: https , http"],
    "proto_comma": ["X-Forwarded-Proto: https,"],
    "proto_under_scheme": ["X-Forwarded-Proto: https", "X-Scheme: http"],
    "octal": ["X-Real-Ip: 010.1.1.1"],
    "short": ["X-Real-Ip: 127.1"],
    "zone": ["X-Real-Ip: fe80::1%lo"],
    "nul": ["X-Real-Ip: 1.2.3.4\xa0"],
}.items():
    for server in ("xheaders", "xheaders_https", "main"):
        add("%s_%s" % (server, name), get("/dump", *lines), get("/connection"), server=server, modes="wr")
add("xheaders_no_leak", get("/dump", "X-Real-Ip: 4.4.4.4", "X-Scheme: https") + get("/dump"), server="xheaders")
add("xheaders_slow", get("/slow?n=1", "X-Real-Ip: 4.4.4.4") + get("/slow?n=2"), server="xheaders")
add("xheaders_stream", post("/stream", b"abc", "X-Real-Ip: 4.4.4.4") + get("/dump"), server="xheaders")
add("xheaders_error", post("/raises/value", b"abc", "X-Real-Ip: 4.4.4.4") + get("/dump"), server="xheaders")
add("xheaders_bad", get("/dump", "X-Real-Ip: 4.4.4.4", "Content-Length: x"), server="xheaders")
for name, request in {
    "host": get("/dump", "X-Real-Ip: 4.4.4.4", host="a,b"),
    "no_host": raw("GET /dump HTTP/1.1", "X-Real-Ip: 4.4.4.4", host=None),
    "arguments": get("/dump?" + "&".join("a%d=b" % i for i in range(1001)), "X-Real-Ip: 4.4.4.4"),
    "form": post("/bare", b"x", "X-Real-Ip: 4.4.4.4", "Content-Type: multipart/form-data"),
}.items():
    add("xheaders_bad_" + name, request, server="xheaders")  # the log names the client that the proxy tells of
add("xheaders_bad_next", get("/dump", "X-Real-Ip: 4.4.4.4") + b"BAD\r\n\r\n", server="xheaders")

# Other listeners.
for server in ("https", "unix", "no_keep_alive", "small_chunk"):
    add(server + "_dump", get("/dump?a=b"), server=server)
    add(server + "_connection", get("/connection"), server=server)
    add(server + "_post", post("/dump", b"0123456789" * 5), server=server)
    add(server + "_two", get("/write/str"), ("settle",), get("/dump/x"), server=server)
    add(server + "_bad", b"BAD\r\n\r\n", server=server)
    add(server + "_stream", post("/stream", b"0123456789" * 5), server=server)
    add(server + "_chunked", chunked("/dump", b"0123456789" * 5, b"abc"), server=server)
add("no_keep_alive_10", get("/dump", "Connection: keep-alive", version="1.0"), server="no_keep_alive")
add("no_keep_alive_flush", get("/flush?s=wa.f.wb"), server="no_keep_alive")
# How much of a body that is sent whole the first piece has: the handler answers then, and tells of it when the connection ends.
FIRST_PIECE = post("/stream?mode=data_finish", b"x" * 300)
for server in ("small_chunk", "decompress"):
    for size in (0, 1, 7, 14, 90, 170):
        line = "X-A: " + "a" * size
        first_piece = post("/stream?mode=data_finish", b"x" * 300, line)
        add("first_piece_%s_%d" % (server, size), first_piece, server=server, modes="w")
        add("first_piece_%s_%d_behind_get" % (server, size), get("/write/str", line) + FIRST_PIECE, server=server, modes="w")
        for kind, one in (
            ("post", post("/write/str", b"y" * size)),
            ("chunked", chunked("/write/str", b"y" * (size + 1), b"z")),
            ("stream", post("/stream", b"y" * size)),
            ("stream_chunked", chunked("/stream", b"y" * (size + 1), b"z")),
        ):
            add("first_piece_%s_%d_behind_%s" % (server, size, kind), one + FIRST_PIECE, server=server, modes="w")
add("first_piece_behind_half_a_head", FIRST_PIECE[:9], ("settle",), FIRST_PIECE[9:], server="small_chunk", modes="w")
add("small_chunk_pieces", post("/stream-pieces?most=16", b"x" * 100), server="small_chunk")
add("small_chunk_pieces_chunked", chunked("/stream-pieces?most=16", b"x" * 5, b"y" * 40, b"z" * 3), server="small_chunk")
add("pieces_large", ("settle",), ("freeze",), post("/stream-pieces?most=65536", b"x" * 30000), ("thaw",), modes="w")
add(
    "pieces_chunked",
    ("settle",),
    ("freeze",),
    chunked("/stream-pieces?most=65536", b"x" * 300, b"y" * 3000, b"z"),
    ("thaw",),
    modes="w",
)
add("small_buffer_head", get("/write/str", "X: " + "v" * 3000), server="small_buffer")
add(
    "small_buffer_head_over",
    ("settle",),
    ("freeze",),
    get("/write/str", "X: " + "v" * 5000),
    ("thaw",),
    server="small_buffer",
    modes="w",
    row="a request that fits max_header_size is lost without a word",
    expect=lambda o: None if o.data.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 431 ")) else repr(o.data),
)
add("small_buffer_body", post("/limit-in-prepare", b"x" * 4096), server="small_buffer", modes="wr")
add("small_buffer_body_over", post("/limit-in-prepare", b"x" * 4097), server="small_buffer", modes="wr")
add("small_buffer_pipeline", PLAIN * 100, server="small_buffer", modes="wr")
add("small_buffer_slow", get("/slow?n=1") + PLAIN * 10, server="small_buffer", modes="wr")

# Timeouts.
add("idle_at_start", ("until_close",), server="idle", modes="w")
IDLE_TIME = ("in_time", 0.3)  # the listener's
add("idle_in_head", b"GET /dump HT", IDLE_TIME, ("until_close",), server="idle", modes="w")
add("idle_after_answer", PLAIN, IDLE_TIME, ("until_close",), server="idle", modes="w")
add(
    "idle_body_is_free",
    get("/dump", "Content-Length: 3", method="POST"),
    IDLE_TIME,
    ("nap", 0.5),
    b"abc",
    ("until_close",),
    server="idle",
    modes="w",
)
add("body_timeout_none", get("/dump", "Content-Length: 3", method="POST"), ("until_close",), server="body_timeout", modes="w")
add(
    "body_timeout_half",
    get("/dump", "Content-Length: 3", method="POST", body=b"a"),
    ("until_close",),
    server="body_timeout",
    modes="w",
)
add(
    "body_timeout_chunked",
    get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"3\r\na"),
    ("until_close",),
    server="body_timeout",
    modes="w",
)
add(
    "body_timeout_stream",
    get("/stream", "Content-Length: 3", method="POST", body=b"a"),
    ("until_close",),
    server="body_timeout",
    modes="w",
)
add(
    "body_timeout_in_time",
    get("/dump", "Content-Length: 3", method="POST", body=b"a"),
    ("settle",),
    b"bc",
    ("settle",),
    PLAIN,
    server="long_body_timeout",
)
add(
    "body_timeout_by_handler",
    get("/stream?timeout=0.1", "Content-Length: 3", method="POST", body=b"a"),
    ("until_close",),
    modes="w",
)
add(
    "body_timeout_by_handler_once",
    post("/stream?timeout=0.05", b"abc"),
    ("settle",),
    get("/dump", "Content-Length: 3", method="POST"),
    ("nap", 0.15),
    b"abc",
    modes="w",
)

# Compressed requests.
BODY = b"a=1&b=" + b"x" * 300
GZIP = gzip.compress(BODY, mtime=0)
for server in ("decompress", "main"):
    kwargs = {"server": server, "modes": "wr"}
    add(server + "_gzip", post("/dump", GZIP, "Content-Encoding: gzip"), **kwargs)
    add(server + "_gzip_case", post("/dump", GZIP, "Content-Encoding: GZip"), **kwargs)
    add(server + "_gzip_chunked", chunked("/dump", GZIP[:5], GZIP[5:], headers=["Content-Encoding: gzip"]), **kwargs)
    add(server + "_gzip_form", form("/dump", GZIP, "Content-Encoding: gzip"), **kwargs)
    add(server + "_gzip_bad", post("/dump", b"not gzip", "Content-Encoding: gzip"), PLAIN, **kwargs)
    add(server + "_gzip_truncated", post("/dump", GZIP[:-9], "Content-Encoding: gzip"), PLAIN, **kwargs)
    add(server + "_gzip_trailing", post("/dump", GZIP + b"tail", "Content-Encoding: gzip"), PLAIN, **kwargs)
    add(server + "_gzip_two_members", post("/dump", GZIP + GZIP, "Content-Encoding: gzip"), PLAIN, **kwargs)
    add(server + "_gzip_empty", post("/dump", b"", "Content-Encoding: gzip"), PLAIN, **kwargs)
    add(server + "_gzip_bomb", post("/dump", gzip.compress(b"x" * 5000, mtime=0), "Content-Encoding: gzip"), PLAIN, **kwargs)
    add(
        server + "_gzip_at_limit",
        post("/limit-in-prepare", gzip.compress(b"x" * 2000, mtime=0), "Content-Encoding: gzip"),
        PLAIN,
        **kwargs,
    )
    add(server + "_deflate", post("/dump", zlib.compress(BODY), "Content-Encoding: deflate"), PLAIN, **kwargs)
    add(server + "_identity", post("/dump", BODY, "Content-Encoding: identity"), PLAIN, **kwargs)
    add(server + "_gzip_list", post("/dump", GZIP, "Content-Encoding: gzip, gzip"), PLAIN, **kwargs)
    add(server + "_gzip_stream", post("/stream", GZIP, "Content-Encoding: gzip"), PLAIN, **kwargs)
    add(server + "_gzip_stream_finish", post("/stream?mode=finish", GZIP, "Content-Encoding: gzip"), **kwargs)
add(
    "stream_decompress_gzip",
    post("/stream", gzip.compress(b"y" * 100000, mtime=0), "Content-Encoding: gzip"),
    server="stream_decompress",
    modes="wr",
)
add(
    "stream_decompress_pieces",
    post("/stream-pieces?most=65536", gzip.compress(b"y" * 100000, mtime=0), "Content-Encoding: gzip"),
    server="stream_decompress",
    modes="w",
)

# Servers without an Application.
for path in ("/x", "/headers", "/chunked", "/raise"):
    add("raw" + path.replace("/", "_"), get(path), server="raw")
    add("raw_post" + path.replace("/", "_"), post(path, b"abc") + get("/x"), server="raw")
    add("raw_10" + path.replace("/", "_"), get(path, version="1.0"), server="raw")
add("raw_keep_10", get("/x", "Connection: keep-alive", version="1.0") + get("/x", version="1.0"), server="raw")
add("raw_never", get("/never"), ("settle",), ("close",), server="raw")
add("raw_bad_form", form("/x", b"a=1", "Content-Encoding: x") + get("/x"), server="raw")
add("raw_bad_multipart", post("/x", b"nope", "Content-Type: multipart/form-data; boundary=XX") + get("/x"), server="raw")
add("raw_eof_in_body", get("/x", "Content-Length: 3", method="POST", body=b"a"), ("settle",), ("eof",), server="raw")
for path in ("/plain", "/raise", "/input", "/wait", "/early", "/data", "/slow", "/finish"):
    name = "echo" + path.replace("/", "_")
    add(name, get(path), server="echo")
    for kind, request in {"post": post(path, b"abc"), "chunked": chunked(path, b"abc", b"defg")}.items():
        add("%s_%s" % (name, kind), request, ("settle",), get("/plain"), server="echo", modes="w")
        if path not in ("/early", "/finish", "/raise", "/input", "/data"):
            add("%s_%s_next" % (name, kind), request + get("/plain"), server="echo", modes="w")
add("echo_eof_in_body", get("/plain", "Content-Length: 3", method="POST", body=b"a"), ("settle",), ("eof",), server="echo")
add("echo_close_in_body", get("/plain", "Content-Length: 3", method="POST", body=b"a"), ("settle",), ("close",), server="echo")
add("echo_body_too_long", get("/plain", "Content-Length: 1048576000", method="POST"), server="echo")
add("echo_no_host", raw("GET /plain HTTP/1.1", host=None), server="echo")
add("echo_bad", b"BAD\r\n\r\n", server="echo")
