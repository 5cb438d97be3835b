"""Answers: writes, flushes, lengths, status lines, headers, ETags, redirects, templates, files, transforms."""

import json

from casebook.case import Book, get, head, post

book = Book()
add = book.add
NEXT = get("/dump/next")
MODES = "wr"


def followed(request, closes):
    """The request with another behind it: at once, or, where the connection ends, when that has happened."""
    return (request, ("settle",), NEXT) if closes else (request + NEXT,)


KINDS = (
    "str", "unicode", "bytes", "dict", "dict_subclass", "dict_header", "empty", "many", "bytearray", "strsub", "large",
    "finish_chunk", "finish_dict", "finish_twice", "write_after", "flush_after", "render_after",
)  # fmt: skip
for kind in KINDS:
    add("write_" + kind, get("/write/" + kind) + NEXT, modes=MODES)
    add("write_%s_post" % kind, post("/write/" + kind, b"x") + NEXT, modes="w")
    add("write_%s_head" % kind, head("/write/" + kind) + NEXT, modes="w")
    add("write_%s_10" % kind, get("/write/" + kind, version="1.0"), modes="w")
    add("write_%s_transforms" % kind, get("/write/" + kind) + head("/write/" + kind), server="transforms", modes="w")
    for name, value in {"yes": "gzip", "list": "deflate, gzip;q=0.5", "no": "identity", "zero": "gzip;q=0"}.items():
        add(
            "write_%s_gzip_%s" % (kind, name),
            get("/write/" + kind, "Accept-Encoding: " + value),
            server="gzip",
            modes="w",
            inflate=True,
        )
    add("write_%s_gzip_head" % kind, head("/write/" + kind, "Accept-Encoding: gzip"), server="gzip", modes="w", inflate=True)

# Flushes and lengths: the steps of the handler Flush.
FLUSHES = (
    "wa", "wa.f", "wa.f.wb", "wa.f.wb.f", "wa.a.wb.a.wc", "f.wa", "f", "f.f", "a.a.wa", "wa.f.f.wb", "wa.n.f.n.wb.n.f",
    "l5.whello", "l5.whello.f", "l5.whe.f.wllo", "l5.f.whello", "l3.whello", "l3.whe.f.wllo", "l3.f.whello", "l9.whello",
    "l9.whello.f", "l9.f.whello", "l0.wx", "l0", "lx.whello", "l-1.wx", "l05.whello", "l5.l5.whello",
    "wa.f.hlate", "hearly.wa.f", "wa.f.s404", "s404.wa.f.wb", "s204", "s204.wa", "s204.f", "s204.wa.f", "s304", "s304.wa.f",
    "s304.f.wa", "s204.l0", "s204.l5", "s304.l5", "s100", "s101", "s150.wa", "s199", "s102.f.wa", "wa.f.e", "wa.e404",
    "wa.f.e404",
    "e", "e599", "wa.f.r", "wa.r", "wa.f.x", "wa.x", "Fend", "wa.Fend", "wa.f.Fend", "F.wa", "F.f", "F.F", "F.x", "F.e",
    "wa.c.wb",
    "hx.c.wb", "wa.f.c.wb", "s201.wa", "s299.wa", "s599.wa", "s600.wa", "s999", "s0", "s1000.wa", "s99.wa",
)  # fmt: skip
for steps in FLUSHES:
    closes = steps.startswith(("l3", "l9", "l0.wx", "s304.wa.f", "s304.f.wa", "s204.l5"))
    add("flush_" + steps, *followed(get("/flush?s=" + steps), closes), modes="w")
    add("flush_%s_alone" % steps, get("/flush?s=" + steps), modes="r")
    add("flush_%s_head" % steps, *followed(head("/flush?s=" + steps), closes), modes="w")
    add("flush_%s_post" % steps, *followed(post("/flush?s=" + steps, b"abc"), closes), modes="w")
    old = get("/flush?s=" + steps, "Connection: keep-alive", version="1.0")
    add("flush_%s_10" % steps, *followed(old, closes), modes="w")
    add("flush_%s_transforms" % steps, get("/flush?s=" + steps), server="transforms", modes="w")
    add("flush_%s_gzip" % steps, get("/flush?s=" + steps, "Accept-Encoding: gzip"), server="gzip", modes="w", inflate=True)
add("flush_result", get("/flush-result") + NEXT)
add("flush_result_head", head("/flush-result") + NEXT)
for mode in ("", "flushed", "open"):
    add("close_then_write" + mode, get("/close-then-write?mode=" + mode), modes="w")
for mode in ("", "length", "version", "crlf"):
    add("connection_writes" + mode, get("/connection-writes?mode=" + mode) + NEXT, modes="w")
    add("connection_writes_10" + mode, get("/connection-writes?mode=" + mode, version="1.0"), modes="w")
add("default_headers", get("/default-headers") + head("/default-headers"))
add("big_read", get("/big?n=40"), modes="w")

# Status lines.
for code in (
    200,
    201,
    202,
    204,
    205,
    206,
    226,
    299,
    300,
    304,
    305,
    399,
    400,
    404,
    418,
    451,
    499,
    500,
    511,
    599,
    600,
    700,
    100,
    102,
):
    for body in ("", "&body=1"):
        add("status_%d%s" % (code, "_body" if body else ""), get("/status?code=%d%s" % (code, body)) + NEXT, modes="w")
    add("status_%d_head" % code, head("/status?code=%d" % code) + NEXT, modes="w")
    add("status_%d_none_match" % code, get("/status?code=%d" % code, "If-None-Match: *") + NEXT, modes="w")
for reason in ("plain", "latin", "wide", "crlf", "nul", "tab", "empty", "markup", "bytes"):
    add("reason_" + reason, get("/status?code=200&reason=" + reason) + NEXT, modes="w")
    add("reason_404_" + reason, get("/status?code=404&body=1&reason=" + reason) + NEXT, modes="w")

# Headers.
VALUES = (
    "crlf", "lf", "nul", "del", "tab", "latin", "wide", "int", "float", "none", "bytes", "list", "bool", "date", "aware", "long",
    "empty", "space",
)  # fmt: skip
for value in VALUES:
    for action in "sad":
        if action == "d" and value in ("int", "float", "none", "bytes", "list", "bool", "date", "aware"):
            continue
        closes = action == "d" and value in ("crlf", "lf", "wide")
        request = get("/headers?h=%s:X-H:%s" % (action, value))
        add("header_%s_%s" % (action, value), *followed(request, closes), modes="w")
for name, steps in {
    "repeat": ["a:X-A:1", "a:X-A:2", "a:x-a:3"],
    "set_after_add": ["a:X-A:1", "a:X-A:2", "s:X-A:3"],
    "clear": ["a:X-A:1", "a:X-A:2", "c:x-a"],
    "clear_absent": ["c:X-None"],
    "clear_type": ["c:Content-Type"],
    "order": ["s:B:1", "s:A:2", "s:C:3", "s:A:4"],
    "order_readd": ["s:A:1", "s:B:2", "c:A", "s:A:3"],
    "server": ["s:server:mine"],
    "date": ["s:Date:never"],
    "type": ["s:content-type:text/x"],
    "case": ["s:x-lower-CASE:1", "s:ETAG:e"],
    "odd_case": ["s:x--y-:1", "s:1a-B2c:1"],
    "bad_name_set": ["s:X A:1"],
    "bad_name_add": ["a:X A:1"],
    "bad_name_crlf": ["s:X%0D%0AY:1"],
    "bad_name_add_crlf": ["a:X%0D%0AY:1"],
    "empty_name": ["s::1"],
    "empty_name_add": ["a::1"],
    "wide_name": ["s:%E4%B8%AD:1"],
    "colon_name": ["s:%3A:1"],
    "cookies": ["a:Set-Cookie:a=1", "a:Set-Cookie:b=2", "a:X-Z:3"],
    "connection_close": ["s:Connection:close"],
    "connection_keep": ["s:Connection:keep-alive"],
    "transfer": ["s:Transfer-Encoding:chunked"],
    "transfer_identity": ["s:Transfer-Encoding:identity"],
    "length_text": ["s:Content-Length:abc"],
    "length_short": ["s:Content-Length:1"],
    "length_long": ["s:Content-Length:10"],
    "length_right": ["s:Content-Length:2"],
    "length_space": ["d:Content-Length: 2"],
    "length_twice": ["s:Content-Length:2", "a:Content-Length:2"],
    "vary": ["s:Vary:X"],
    "encoding": ["s:Content-Encoding:own"],
    "etag": ['s:Etag:"mine"'],
    "etag_empty": ["s:Etag:"],
}.items():
    path = "/headers?" + "&".join("h=" + s.replace(" ", "%20").replace('"', "%22") for s in steps)
    closes = name in ("bad_name_crlf", "wide_name", "length_short", "length_long")
    add("headers_" + name, *followed(get(path), closes), modes="w")
    add("headers_%s_head" % name, head(path) + NEXT, modes="w")
    add("headers_%s_10" % name, *followed(get(path, "Connection: keep-alive", version="1.0"), closes), modes="w")
    add("headers_%s_close" % name, get(path, "Connection: close"), modes="w")
    add("headers_%s_gzip" % name, get(path, "Accept-Encoding: gzip"), server="gzip", modes="w", inflate=True)

# ETags.
BODY_TAG = '"dcf7ba8a92dbc3f9a36fe3ac1d6e1de1bd0bdfe0"'
for name, value in {
    "none": None,
    "star": "*",
    "star_later": '"x", *',
    "star_first": '*, "x"',
    "match": '"fixed"',
    "weak": 'W/"fixed"',
    "weak_lower": 'w/"fixed"',
    "list": '"x", W/"y" , "fixed"',
    "other": '"other"',
    "unquoted": "fixed",
    "half": '"fixed',
    "empty": "",
    "empty_tag": '""',
    "high": '"\xe9"',
    "inner": '"a"fixed"',
    "computed": '"computed 8"',
}.items():
    lines = [] if value is None else ["If-None-Match: " + value]
    for mode in ("", "set", "weak", "own", "status", "lang", "empty"):
        add("etag_%s_%s" % (mode or "auto", name), get("/etag?mode=" + mode, *lines) + NEXT, modes="w")
    add("etag_head_" + name, head("/etag?mode=set", *lines) + NEXT, modes="w")
    add("etag_post_" + name, post("/etag?mode=set", b"", *lines) + NEXT, modes="w")
    add("own_etag_" + name, get("/own-etag", *lines) + NEXT, modes="w")
    add("file_etag_" + name, get("/files/a.txt", *lines) + NEXT, modes="w")
    add("etag_gzip_" + name, get("/etag?mode=set", "Accept-Encoding: gzip", *lines), server="gzip", modes="w", inflate=True)
for mode in ("none", "raise", "bytes"):
    add("own_etag_mode_" + mode, get("/own-etag?mode=" + mode) + NEXT)
add("etag_two_lines", get("/etag?mode=set", 'If-None-Match: "x"', 'If-None-Match: "fixed"'))

# Redirects.
for name, query in {
    "plain": "",
    "permanent": "permanent=1",
    "status": "status=307",
    "status_bad": "status=200",
    "status_both": "status=303&permanent=1",
    "absolute": "to=http://x.test/y",
    "utf8": "to=/%C3%A9",
    "space": "to=/a%20b",
    "crlf": "to=/a%0D%0AX:1",
    "flushed": "flush=1",
}.items():
    add("redirect_" + name, get("/redirect?" + query) + NEXT, modes=MODES)
    add("redirect_post_" + name, post("/redirect?" + query, b"x") + NEXT, modes="w")
add("redirect_unicode", get("/redirect-unicode") + NEXT)

# Templates.
for name in ("page.html", "bad.html", "syntax.html", "none.html"):
    add("render_" + name, get("/render/" + name) + NEXT, modes="w")
    add("render_head_" + name, head("/render/" + name) + NEXT, modes="w")
add("render_string", get("/render-string") + NEXT)

# Files.
for name in (
    "a.txt", "empty.bin", "index.html", "sub/b.css", "sub", "sub/", "nosuch", "", ".", "..", "../x", "%2e%2e/x", "/etc/hostname",
    "a.txt/", "data.tar.gz", "space%20name.txt", "caf%C3%A9.txt", "link.txt", "outside.txt", "a%00b", "%FF", "a.txt?v=1",
    "./a.txt",
    "sub/../a.txt",
):  # fmt: skip
    for folder in ("files", "files-index", "static"):
        add("%s_%s" % (folder, name or "root"), get("/%s/%s" % (folder, name)) + head("/%s/%s" % (folder, name)), modes="w")
for value in (
    "bytes=0-", "bytes=0-0", "bytes=10-19", "bytes=-5", "bytes=-0", "bytes=90-", "bytes=99-", "bytes=100-", "bytes=0-99",
    "bytes=0-1000", "bytes=50-10", "bytes=-200", "bytes=1-2,5-6", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes 1-2",
    "bytes=1-2;x", " bytes = 1 - 2 ", "bytes=0x1-0x2", "bytes=1_0-2_0", "bytes=+1-+2", "bytes=--5", "bytes=5", "BYTES=0-1",
    "bytes=18446744073709551616-",
):  # fmt: skip
    add("range_" + value, get("/files/a.txt", "Range: " + value), modes="w")
    add("range_head_" + value, head("/files/a.txt", "Range: " + value) + NEXT, modes="w")
    add("range_empty_" + value, get("/files/empty.bin", "Range: " + value) + NEXT, modes="w")
for name, value in {
    "same": "Sun, 13 Sep 2020 12:26:40 GMT",
    "before": "Sun, 13 Sep 2020 12:26:39 GMT",
    "after": "Mon, 14 Sep 2020 12:26:40 GMT",
    "asctime": "Sun Sep 13 12:26:40 2020",
    "rfc850": "Sunday, 13-Sep-20 12:26:40 GMT",
    "zone": "Sun, 13 Sep 2020 14:26:40 +0200",
    "bad": "yesterday",
    "empty": "",
    "number": "1600000000",
}.items():
    add("modified_" + name, get("/files/a.txt", "If-Modified-Since: " + value) + NEXT, modes="w")
    add("modified_range_" + name, get("/files/a.txt", "If-Modified-Since: " + value, "Range: bytes=1-2") + NEXT, modes="w")
    add("modified_etag_" + name, get("/files/a.txt", "If-Modified-Since: " + value, 'If-None-Match: "x"') + NEXT, modes="w")
add("file_big", get("/files/big.bin") + NEXT, modes="w")
add("file_big_range", get("/files/big.bin", "Range: bytes=70000-140000") + NEXT, modes="w")
add("file_post", post("/files/a.txt", b"x") + NEXT)
add("file_10", get("/files/a.txt", version="1.0"))
for name in ("a.txt", "big.bin", "index.html", "sub/b.css"):
    add("file_gzip_" + name, get("/files/" + name, "Accept-Encoding: gzip") + b"", server="gzip", modes="w", inflate=True)
    add(
        "file_gzip_range_" + name,
        get("/files/" + name, "Accept-Encoding: gzip", "Range: bytes=1-5"),
        server="gzip",
        modes="w",
        inflate=True,
    )

# Programs for diffapp/program.py.
for name, steps in {
    "chunked_shows": {"method": [["flush"], ["show"]], "finish": [["show"]]},
    "chunked_header_shows": {"method": [["set", "X-A", "1"], ["write", "a"], ["flush"], ["show"]]},
    "flush_behind": {"method": [["finish", "a"], ["await", ["flush"]], ["show"]], "async": ["method"]},
    "flush_behind_error": {"method": [["send_error", 304], ["await", ["flush"]], ["show"]], "async": ["method"]},
    "204_empty": {"method": [["status", 204], ["finish", ""]]},
    "204_empty_write": {"method": [["write", ""], ["status", 204]]},
    "304_empty_bytes": {"method": [["status", 304], ["write", {"bytes": ""}]]},
    "204_empty_in_error": {"method": [["raise", "http", 400]], "error": [["write", ""], ["status", 204]]},
    "bad_length_shows": {"prepare": [["set", "Content-Length", "gzip"]], "method": [["try", ["finish"]], ["show"]]},
}.items():
    text = "X-Program: " + json.dumps(steps)
    for version, line in {"11": "X: y", "11_close": "Connection: close", "10": "Connection: keep-alive"}.items():
        add("program_%s_%s" % (name, version), get("/program", text, line, version="1.0" if version == "10" else "1.1"))
for name, header in {"length": ["set", "Content-Length", "gzip"], "field": ["set", "X-A", "1"]}.items():
    text = "X-Program: " + json.dumps({"method": [["closes"], header, ["write", "a"], ["try", ["finish"]], ["show"]]})
    for version in ("1.0", "1.1"):
        add("program_closed_%s_%s" % (name, version.replace(".", "")), get("/program", text, version=version))
for version in ("1.0", "1.1"):
    # The request is looked at for the first time when its connection is closed.
    text = "X-Program: " + json.dumps({"method": [["await", ["finish"]], ["sleep"], ["write", None]], "async": ["method"]})
    request = get("/program", text, "Connection: close", version=version)
    add("program_late_look_" + version.replace(".", ""), request, server="https")
add("program_close_raises", get("/program/stream", 'X-Program: {"close": [["add", "X Y", "1"]]}', method="QUERY"))
add(
    "program_traceback_204",
    get("/program", 'X-Program: {"method": [["write", "a"], ["status", 204]]}'),
    server="traceback",
)
