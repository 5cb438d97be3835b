"""Pieces of requests, drawn at random: methods, targets, versions, headers, bodies. Each draw notes its class in ``tags``.

Most of what is drawn is right: a request that is wrong in one place says more than one that is wrong everywhere.
"""

import gzip
import json
import zlib

ODD_METHODS = [
    b"get", b"Get", b"PROPFIND", b"QUERY", b"CONNECT", b"TRACE", b"M-SEARCH", b"X-Odd!", b"!#$%&'*+-.^_`|~", b"__init__",
    b"A" * 300, b"SOURCE", b"PRI",
]  # fmt: skip
BAD_METHODS = [b"GE(T", b"GET:", b"G\xc9T", b'"GET"', b"", b"GE\tT", b"G\x00T", b"\x16\x03\x01", b" GET", b"GET "]
VERSIONS = [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.11", b"http/1.1", b"HTTP/1", b"HTTP/ 1.1",
            b"ICE/1.0", b"", b"HTTP/1.\xb9", b"HTTP/1.1 ", b"HTTP/+1.1", b"HTTP/1.1\r", b"HTTP/1,1", b"HTTPS/1.1"]  # fmt: skip

# Paths of the main application; %s: a random segment.
PATHS = [
    "/", "/dump", "/dump", "/dump", "/dump/%s", "/two/%s/%s", "/two/12/%s", "/named/%s", "/named/%s/%s", "/optional",
    "/optional/abc",
    "/optional/abc/12", "/optional/%s", "/literal.txt", "/literal-txt", "/dollar", "/dollar/x", "/prefix%s", "/caret",
    "/latin/%s",
    "/latin-named/%s", "/by-method/%s", "/rule", "/only-matched", "/nested/a", "/nested/b/%s", "/nested/c", "/bare", "/bare/%s",
    "/echo/%s", "/echo/wait", "/echo/early", "/echo/slow", "/any-method", "/only-get", "/arguments", "/arguments",
    "/missing?which=%s",
    "/missing?which=query_argument", "/missing?which=body_argument", "/cookies", "/cookies?do=set,n,v", "/cookies?do=attrs,n,v",
    "/cookies?do=clear,n", "/cookies?do=set,%s,%s", "/cookies?do=header,a,b", "/cookies?do=clear_all", "/cookies?do=read,s",
    "/context?n=5", "/mutate", "/initialized", "/initialized/kwargs/%s", "/prepare", "/prepare?mode=finish", "/prepare?mode=http",
    "/prepare?mode=redirect", "/prepare?mode=error", "/prepare?mode=status", "/prepare-async", "/prepare-async?mode=finish",
    "/prepare-async?mode=quick", "/prepare-coroutine", "/methods/quick", "/methods/slow", "/methods/moments",
    "/methods/coroutine",
    "/raises/value", "/raises/after_write", "/raises/after_flush", "/raises/http", "/raises/logged", "/raises/reason",
    "/raises/no_content", "/raises/not_modified", "/raises/finish_exception", "/raises/finish_after",
    "/raises/error_after_finish",
    "/raises/write_list", "/custom-error", "/custom-error?mode=json", "/custom-log", "/finish-raises", "/async-finish",
    "/slow?n=1",
    "/stack-of-errors", "/send-error-overridden", "/write/str", "/write/str", "/write/unicode", "/write/bytes", "/write/dict",
    "/write/empty", "/write/many", "/write/finish_chunk", "/write/finish_twice", "/write/write_after", "/write/large",
    "/flush?s=wa.f.wb", "/flush?s=wa.a.wb.n.wc", "/flush?s=f.wa", "/flush?s=l3.wabc", "/flush?s=l3.f.wabcd", "/flush?s=l5.wabc.f",
    "/flush?s=wa.f.x", "/flush?s=wa.F", "/flush?s=s204", "/flush?s=s304.f", "/flush?s=wa.f.e", "/status?code=204",
    "/status?code=304&body=1",
    "/status?code=599", "/status?code=200&reason=crlf", "/status?code=101", "/status?code=100&body=1", "/headers?h=s:X-A:%s",
    "/headers?h=a:X-A:1&h=a:X-A:2", "/headers?h=s:Content-Length:2", "/headers?h=s:Connection:close", "/headers?h=s:X:crlf",
    "/headers?h=c:Content-Type", "/headers?h=s:Transfer-Encoding:chunked", "/etag", "/etag?mode=set", "/etag?mode=weak",
    "/etag?mode=own", "/etag?mode=empty", "/own-etag", "/own-etag?mode=none", "/redirect", "/redirect?to=//evil/%s",
    "/redirect?to=%s&permanent=1", "/redirect?status=307", "/redirect?flush=1", "/redirect-unicode", "/render/page.html",
    "/render/bad.html", "/render-string", "/connection-writes", "/connection-writes?mode=length", "/default-headers",
    "/user", "/slashes/", "/slashes/%s", "/no-slash/", "/locale", "/moved", "/moved-302", "/moved-302?%s", "/moved/%s/%s",
    "/moved-host/%s", "/moved-open%s", "/error/403", "/fallback/%s", "/files/a.txt", "/files/a.txt", "/files/empty.bin",
    "/files/big.bin", "/files/sub", "/files/sub/", "/files/%s", "/files/../app.py", "/files/space%%20name.txt",
    "/files/caf%%C3%%A9.txt",
    "/files/link.txt", "/files/outside.txt", "/files-index/", "/files-index/sub/", "/static/robots.txt", "/robots.txt",
    "/nosuch/%s",
    "/matcher-raises", "/matcher-refuses", "/prefix-router/args/%s", "/prefix-router/none", "/host", "/flush-result",
]  # fmt: skip
STREAMS = [
    "/stream", "/stream", "/stream?a=1", "/stream?mode=finish", "/stream?mode=error", "/stream?mode=raise", "/stream?mode=flush",
    "/stream?mode=data_raise", "/stream?mode=data_http", "/stream?mode=data_finish", "/stream?mode=data_input_error",
    "/stream?limit=5", "/stream?limit=300000", "/stream-async", "/stream-async?mode=finish", "/stream-async?mode=error",
    "/stream-async?mode=data_raise", "/stream-async?mode=data_finish", "/stream-no-method", "/stream-pieces?most=300000",
    "/limit-in-prepare", "/echo/data", "/echo/finish", "/echo/early",
]  # fmt: skip
# Other servers have other routes.
SERVER_PATHS = {
    "xsrf": ["/form", "/form", "/token", "/stream", "/nosuch"],
    "cross_origin": ["/form", "/nosuch"],
    "gzip": ["/write/str", "/write/large", "/write/many", "/write/dict", "/write/empty", "/flush?s=wa.f.wb", "/flush?s=l3.wabc",
             "/flush?s=" + "w" + "x" * 1200, "/headers?h=s:Content-Encoding:x", "/headers?h=s:Vary:Cookie", "/etag",
             "/raises/value",
             "/headers?h=s:Content-Type:image/png", "/raises/no_content", "/files/a.txt", "/files/big.bin"],
    "transforms": ["/write/str", "/write/many", "/write/empty", "/flush?s=wa.f.wb", "/raises/value", "/raises/after_flush"],
    "traceback": ["/raises/http", "/raises/logged", "/custom-error"],
    "logged": ["/raises/value", "/raises/http", "/dump", "/nosuch"],
    "overriding": ["/dump", "/raises/value", "/nosuch"],
    "default_host": ["/plain", "/host", "/other", "/nosuch"],
    "router": ["/app/x", "/bare/x", "/bare", "/dump", "/nosuch", "/app/dump"],
    "raw": ["/", "/raise", "/headers", "/chunked", "/x?y=%s"],
    "echo": ["/", "/raise", "/input", "/wait", "/early", "/data", "/slow", "/finish", "/%s"],
}  # fmt: skip
SEGMENTS = [
    "a", "abc", "12", "x.y", "a%20b", "%41", "%2F", "%2f%2F", "%", "%4", "%zz", "%C3%A9", "%E9", "%FF%FE", "%00", "%0d%0a", "a+b",
    "\xe9", "\xc3\xa9", "\xff\xfe", "..", ".", "", "a;b", "a=b", "~", "a'b\"c", "<b>", "{0}", "|", "\\", "^", "`", "a:b@c",
    "%25", "%u1234",
    "a" * 50, "%41" * 200, "\x80",
]  # fmt: skip
QUERIES = [
    "a=1", "a=1&a=2", "a=", "a", "=", "=1", "&", "a=1&&b=2", "a=+x+", "a=%20x%20", "a=%C3%A9", "a=%E9", "a=\xe9", "a=%00",
    "a=%01%09", "a=1;b=2",
    "a=b=c", "a=%", "a=%zz&b=%4", "?", "a=?&b=??", "a=1#frag", "n=3&n=4", "%61=1", "a+b=c", "a=" + "v" * 400, "\xc3\xa9=1",
    "a=%f0%9f%98%80",
    "a=%ed%a0%80", "a[]=1&a[]=2", "A=1", "do=set,x,y&do=clear,z", "mode=finish",
]  # fmt: skip
HOSTS = [
    "h.test:8080", "H.TEST", "", "a:x", "a:", ":80", "127.0.0.1:80", "[::1]:80", "first.test", "second.test", "third.test:99",
    "matched.x",
    "default.test", "other.test", "a_b.test", "a%41b", "a!$&'()*+;=b", "h.test.", "xn--caf-dma.test",
]  # fmt: skip
BAD_HOSTS = [
    "a b",
    "a,b",
    "a/b",
    "u@h.test",
    "h\xe9.test",
    "a?b",
    'a"b',
    "<script>",
    "a#b",
    "a\\b",
    "a|b",
    "::1",
    "[v1.x]",
    "a\tb",
    "a%4",
]
CONNECTIONS = ["close", "Close", "keep-alive", "Keep-Alive", "Upgrade", "", "x-hop", "closed", "keep-alive, Upgrade"]
CONNECTION_LISTS = ["keep-alive, close", "close, keep-alive", "x,Close", "x ,\tclose\t, y", ",,close,"]
PLAIN_HEADERS = [
    "Accept: */*", "Accept-Encoding: gzip, deflate", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0",
    "User-Agent: fuzz/1.0", "X-A: b",
    "X-A:b", "X-A:   b  ", "X-A:\tb\t", "X-A: b  \t c", "X-A:", "X-A:   ", "x-lower: 1", "X-UPPER: 1", "x-oDD-nAME--x: 1",
    "x_under: 1",
    "1234: b", "!#$%&'*+-.^_`|~09az: b", "X-A: b: c:d", "Origin: https://trusted.test", "Origin: http://evil.test",
    "Origin: null",
    "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin", "Referer: http://h.test/x", "Accept-Language: de,en;q=0.5",
    "X-Route: v\xe9",
    "X-Real-Ip: 4.4.4.4", "X-Real-Ip: bad", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 1.1.1.1, 10.0.0.1",
    "X-Forwarded-For: a, b",
    "X-Forwarded-For: ::1", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http,https", "X-Forwarded-Proto: ftp",
    "X-Scheme: https",
    "Content-Type: text/html", "Upgrade-Insecure-Requests: 1", "X-Xsrftoken: abc", "If-Match: *", "TE: trailers",
    "Authorization: Basic eDp5",
]  # fmt: skip
LATIN_HEADERS = ["X-A: \x80\xe9\xff", "X-A: \xc3\xa9", "X-A: b\x85c", "X-A: \xa0b\xa0"]
BAD_HEADERS = [
    "X-A b", ": b", "X-A : b", "X-A\t: b", "X A: b", "X(A): b", "X-\xe9: b", "X-\x00A: b", 'X"A": b', "X/A: b", "X-A: b\x00c",
    "X-A: b\x01c",
    "X-A: b\x1bc", "X-A: b\x7fc", "X-A: b\x0bc", "X-A: b\x0c", "X-A: b\rc", "X-A: \rb", "\x0bX-A: b", "X-A\x0b: b", ":",
    "X-A: b\r",
]  # fmt: skip
FOLDS = ["X-A: b\r\n c", "X-A: b\r\n\tc", "X-A: b\r\n ", "X-A:\r\n b", "X-A: b\r\n c\r\n d", "X-A: b\n c",
         "X-A: b\r\n   c   \r\n\t\td\t",
         "Content-Length:\r\n 3", "Transfer-Encoding:\r\n chunked", "Host:\r\n h.test", "Cookie: a=b;\r\n c=d",
         "X-A: b\r\n \xe9"]  # fmt: skip
COOKIES = [
    "a=b", "a=b; c=d", "a=b;c=d", 'a="quoted; value"', 'a="q\\"x"', "a", "=b", "a=", "a=b; a=c", ";;;", "a=b c", "a=\xe9",
    "a=%20", "\xe9=1",
    "a=b, c=d", "$Version=1; a=b", "a=\\073", 'a="\\303\\251"', "s=2|1:0|10:1|1:s|4:dg==|00", "_xsrf=abc", "a=b;\tc=d", "a==b",
    "[x]=1",
    "__proto__=1; a=b", "a=" + "v" * 3000, "; ".join("k%d=v" % i for i in range(60)), "path=/; domain=x", "expires=a",
]  # fmt: skip
NONE_MATCH = ["*", '"fixed"', 'W/"fixed"', '"x", "fixed"', 'fixed', '"', "", '"x",,*', '"781e5e245d69b566979b86e28d23f2c7"',
              'W/*',
              '"8f7c4c3e0f1d9c5d7d4c2d5e0f6ab1c6", W/"y"']  # fmt: skip
RANGES = [
    "bytes=1-3", "bytes=0-", "bytes=-5", "bytes=5-3", "bytes=1000-", "bytes=-0", "bytes=-1000", "bytes=1-3,5-7", "items=1-2",
    "bytes=a-b",
    "bytes 1-2", "bytes=", "bytes=0-0", "bytes= 1-2", "bytes=99-", "bytes=100-", "bytes=-", "bytes=1", "bytes=+1-2", "BYTES=1-2",
]  # fmt: skip
LENGTHS_BAD = ["+3", "-3", "0x3", "1_0", "3 4", "", "x", "3;", "3.0", "\xb3", "3, 4", "9223372036854775808",
               "18446744073709551617", "0" * 4999 + "3",
               "99999999999999999999999999", " 3 x", "3,", "0x", "1e1", "-0", "3,3,4"]  # fmt: skip
CODINGS_BAD = ["gzip, chunked", "identity", "", "xchunked", "chunked;p", "chunked,", ",chunked", '"chunked"',
               "chunked, chunked", "chunked, identity",
               "\x0bchunked", "chunked\xa0", "gzip"]  # fmt: skip
CODINGS_GOOD = ["chunked", "chunked", "chunked", "Chunked", "CHUNKED", "chunked \t"]
EXTENSIONS = [
    b";a=b",
    b";a",
    b';a="b;c"',
    b";a=b;c=d",
    b";",
    b"; a = b",
    b";" + b"a" * 70,
    b";\xe9",
    b";" + b"e" * 3000,
    b";a\tb",
]
BAD_SIZES = [b"0_3", b"+3", b"-3", b"0x3", b" 3", b"3 ", b"3\t", b"", b"xyz", b"3\x00", b"\xb3", b"3\rX", b"F" * 16,
             b"7" + b"F" * 15, b"1" + b"0" * 16,
             b"0" * 200 + b"3", b"0" * 63 + b"3", b"f" * 100, b"3 ;a=b", b"3\n", b"3;a\n", b"3;\x01", b"3;a\rb", b"1" * 70,
             b"g", b"6400001"]  # fmt: skip
TRAILERS = [
    b"X-T: 1\r\n",
    b"X-T: 1\r\nX-U: 2\r\n",
    b"Host: evil\r\nCookie: a=b\r\n",
    b"X-T:\r\n",
    b"X-T: \xe9\r\n",
    b"X-T: " + b"v" * 300 + b"\r\n",
]
BAD_TRAILERS = [b"Content-Length: 3\r\n", b"transfer-encoding: chunked\r\n", b"no colon\r\n", b": x\r\n", b"X T: 1\r\n",
                b"X-T: \x00\r\n", b"X-T: 1\n",
                b" folded\r\n", b"X-T: a\rb\r\n"]  # fmt: skip
TYPES = ["application/x-www-form-urlencoded", "application/json", "text/plain", "multipart/form-data; boundary=XX",
         'multipart/form-data; boundary="XX"',
         "multipart/form-data", "multipart/form-data; boundary=", "application/x-www-form-urlencoded; charset=latin-1",
         "MULTIPART/form-data; boundary=XX",
         "multipart/mixed; boundary=XX", "multipart/form-data;boundary=XX;x", "application/x-www-form-urlencodedx", "; =",
         "multipart/form-data; boundary=X X"]  # fmt: skip


def path(r, tags, server):
    """A path with its query, for a server of app.py, as str of latin-1 characters."""
    if server in SERVER_PATHS:
        text = r.choice(SERVER_PATHS[server])
    elif r.random() < 0.2:
        tags.add("target:stream")
        text = r.choice(STREAMS)
    else:
        text = r.choice(PATHS)
    if "%s" in text or "%%" in text:
        segments = tuple(r.choice(SEGMENTS) for _ in range(text.count("%s")))
        if any("%" in s for s in segments):
            tags.add("target:percent")
        if any(not s.isascii() for s in segments):
            tags.add("target:high")
        text %= segments
    if r.random() < 0.25:
        tags.add("target:query")
        text += ("&" if "?" in text else "?") + "&".join(r.choice(QUERIES) for _ in range(r.randint(1, 3)))
    if r.random() < 0.01:
        tags.add("target:many_arguments")
        text += ("&" if "?" in text else "?") + "&".join("k%d=v" % i for i in range(r.choice((998, 999, 1000, 1001, 1100))))
    return text


def target(r, tags, server):
    text = path(r, tags, server)
    roll = r.random()
    if roll > 0.1:
        return text.encode("latin-1")
    kind = r.choice(["absolute", "asterisk", "authority", "double_slash", "fragment", "relative", "bad", "long", "random"])
    tags.add("target:" + kind)
    text = {
        "absolute": r.choice(["http://h.test", "https://a.test:1", "http:", "http://", "HTTP://u:p@h.test"]) + text,
        "asterisk": "*",
        "authority": "h.test:443",
        "double_slash": "/" + text,
        "fragment": text + "#frag?x",
        "relative": text[1:] or "x",
        "bad": text + r.choice([" x", "\tx", "\x00", "\x7f", "\x01", "  ", "\r"]),
        "long": text + "?" + "a" * r.choice((300, 3000, 70000)),
        "random": "/"
        + "".join(chr(r.choice([r.randrange(0x21, 0x7F), r.randrange(0x80, 0x100)])) for _ in range(r.randint(1, 20))),
    }[kind]
    return text.encode("latin-1")


def method(r, tags):
    roll = r.random()
    if roll < 0.90:
        return r.choice([b"GET"] * 6 + [b"POST"] * 2 + [b"HEAD"] * 2 + [b"PUT", b"DELETE", b"PATCH", b"OPTIONS"])
    if roll < 0.97:
        tags.add("method:odd")
        return r.choice(ODD_METHODS)
    tags.add("method:bad")
    return r.choice(BAD_METHODS)


def version(r, tags):
    roll = r.random()
    if roll < 0.88:
        return b"HTTP/1.1"
    if roll < 0.95:
        tags.add("version:1.0")
        return b"HTTP/1.0"
    tags.add("version:odd")
    return r.choice(VERSIONS)


def host(r, tags):
    """The Host lines of a request, most often one."""
    roll = r.random()
    if roll < 0.80:
        return ["Host: h.test"]
    if roll < 0.93:
        tags.add("host:other")
        return [r.choice(["Host: ", "host: ", "HOST:"]) + r.choice(HOSTS)]
    if roll < 0.96:
        tags.add("host:bad")
        return ["Host: " + r.choice(BAD_HOSTS)]
    if roll < 0.98:
        tags.add("host:none")
        return []
    tags.add("host:twice")
    return ["Host: h.test", "Host: " + r.choice(["h.test", "other", ""])]


def headers(r, tags, server):
    """Header lines that have nothing to do with the body, as str."""
    lines = host(r, tags)

    def put(probability, tag, make):
        if r.random() < probability:
            tags.add("header:" + tag)
            made = make()
            for line in [made] if isinstance(made, str) else made:
                lines.insert(r.randint(0, len(lines)), line)

    put(0.4, "plain", lambda: [r.choice(PLAIN_HEADERS) for _ in range(r.randint(1, 4))])
    put(0.12, "connection", lambda: "Connection: " + r.choice(CONNECTIONS))
    put(0.02, "connection_list", lambda: "Connection: " + r.choice(CONNECTION_LISTS))
    put(0.01, "connection_twice", lambda: ["Connection: " + r.choice(CONNECTIONS), "Connection: " + r.choice(CONNECTIONS)])
    put(0.08, "cookie", lambda: ["Cookie: " + r.choice(COOKIES) for _ in range(r.choice((1, 1, 1, 2)))])
    put(0.08, "none_match", lambda: "If-None-Match: " + r.choice(NONE_MATCH))
    put(0.08, "range", lambda: "Range: " + r.choice(RANGES))
    put(
        0.03,
        "modified",
        lambda: "If-Modified-Since: " + r.choice(["Sun, 13 Sep 2020 12:26:40 GMT", "Sat, 12 Sep 2020 12:26:40 GMT", "x", "2020"]),
    )
    put(0.03, "latin", lambda: r.choice(LATIN_HEADERS))
    put(0.03, "bad", lambda: r.choice(BAD_HEADERS))
    put(0.04, "fold", lambda: r.choice(FOLDS))
    put(0.03, "repeated", lambda: ["X-R: %d" % i for i in range(r.randint(2, 6))])
    put(0.03, "upgrade", lambda: ["Upgrade: " + r.choice(["websocket", "h2c", "x"]), "Connection: Upgrade"])
    put(0.02, "websocket", lambda: ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                                    "Sec-WebSocket-Key: " + r.choice(["dGhlIHNhbXBsZSBub25jZQ==", "short", ""])])  # fmt: skip
    put(0.01, "large", lambda: "X-Large: " + "v" * r.choice((400, 440, 480, 600, 5000, 65000, 65500, 66000)))
    put(0.004, "many", lambda: ["X-M: 1"] * r.choice((500, 990, 998, 999, 1000, 1001, 2000)))
    return [line.encode("latin-1") for line in lines]


# Bodies.


def form(r, tags):
    tags.add("body:form")
    if r.random() < 0.03:
        return "&".join("k%d=v" % i for i in range(r.choice((999, 1000, 1001)))).encode()
    return "&".join(r.choice(QUERIES) for _ in range(r.randint(1, 4))).encode("latin-1")


def multipart(r, tags):
    tags.add("body:multipart")
    dispositions = [
        b'form-data; name="a"', b'form-data; name="f"; filename="x.txt"', b"form-data; name=a", b"form-data",
        b'attachment; name="a"',
        b"form-data; name=\"f\"; filename*=utf-8''%e2%82%ac.txt", b'form-data; name="\xc3\xa9"',
        b'form-data; name="f"; filename=""',
        b'form-data; name="a;b"; filename="c\\"d"', b'form-data; name=""', b'form-data; name="\xe9"',
        b"form-data; name=\"f\"; filename*=bad''%zz", b'form-data; name="f"; filename="a\\b"',
    ]  # fmt: skip
    body = b""
    for _ in range(r.choice((0, 1, 1, 2, 3, 101) if r.random() < 0.3 else (1, 2))):
        lines = r.choice([b"Content-Disposition: ", b"content-disposition:"]) + r.choice(dispositions)
        if r.random() < 0.3:
            lines += b"\r\nContent-Type: " + r.choice([b"text/plain", b"", b"image/png; x=y"])
        if r.random() < 0.1:
            lines += r.choice([b"\r\nX: y", b"\r\nbad", b"\r\nX: \x01", b"\r\nX: " + b"v" * 11000, b"\nX: y"])
        content = r.choice([b"", b"value", b" v ", b"\x00\xff", b"a\r\nb", b"--XX", b"\xc3\xa9", b"x" * 300])
        body += b"--XX\r\n" + lines + r.choice([b"\r\n\r\n"] * 9 + [b"\r\n"]) + content + r.choice([b"\r\n"] * 9 + [b""])
    return body + r.choice([b"--XX--\r\n"] * 6 + [b"--XX--", b"", b"--XX\r\n", b"--YY--\r\n", b"--XX--\r\nepilogue"])


def content(r, tags):
    """(header lines, bytes) of a body before it is framed."""
    roll = r.random()
    if roll < 0.25:
        return [b"Content-Type: application/x-www-form-urlencoded"], form(r, tags)
    if roll < 0.42:
        return [b"Content-Type: multipart/form-data; boundary=XX"], multipart(r, tags)
    if roll < 0.52:
        tags.add("body:json")
        text = json.dumps({"a": [1, None, "\u00e9"]}) if r.random() < 0.8 else '{"a":'
        return [b"Content-Type: application/json"], text.encode()
    if roll < 0.62:
        tags.add("body:odd_type")
        data = r.choice([form, multipart])(r, tags)
        return [b"Content-Type: " + r.choice(TYPES).encode()], data
    if roll < 0.72:
        tags.add("body:gzip")
        plain = r.choice([b"a=1&b=2", b"", b"z" * 3000, b"abc" * 50, bytes(range(256))])
        packed = gzip.compress(plain, mtime=0)
        packed = r.choice(
            [packed] * 4
            + [packed[:-1], packed[:8], packed + b"tail", packed + packed, b"not gzip", b"\x1f\x8b", zlib.compress(plain)]
        )
        kind = r.choice([b"application/x-www-form-urlencoded", b"text/plain"])
        coding = r.choice([b"gzip", b"gzip", b"GZIP", b"deflate", b"x-gzip"])
        return [b"Content-Encoding: " + coding, b"Content-Type: " + kind], packed
    if roll < 0.76:
        tags.add("body:large")
        return [], b"x" * r.choice((1999, 2000, 2001, 4096, 20000, 66000))
    if roll < 0.82:
        tags.add("body:limit")
        return [], b"y" * r.choice((63, 64, 65))
    return [], bytes(r.randrange(256) for _ in range(r.randint(0, 30)))


def chunks(r, tags, data):
    """``data`` in the chunked coding, sometimes not quite."""
    body = b""
    at = 0
    bad = r.random() < 0.12
    extended = r.random() < 0.12
    while at < len(data):
        size = min(len(data) - at, r.choice((1, 3, 16, 100, 5000, 100000)) if len(data) < 5000 else r.choice((3000, 70000)))
        line = r.choice([b"%x", b"%x", b"%X", b"0%x", b"000%x"]) % size
        if extended and r.random() < 0.5:
            tags.add("body:extension")
            line += r.choice(EXTENSIONS)
        end = b"\r\n"
        if bad and r.random() < 0.5:
            tags.add("body:bad_chunk")
            if r.random() < 0.5:
                line = r.choice(BAD_SIZES)
            else:
                end = r.choice([b"\n", b"", b"XX", b"\rX", b"\r", b"X\r\n", b"\r\n\r\n", b"\x00\x00"])
        body += line + b"\r\n" + data[at : at + size] + end
        at += size
    roll = r.random()
    if roll < 0.82:
        return body + r.choice([b"0", b"0", b"0", b"00", b"000"]) + b"\r\n\r\n"
    if roll < 0.90:
        tags.add("body:trailer")
        return body + b"0\r\n" + r.choice(TRAILERS) + b"\r\n"
    if roll < 0.93:
        tags.add("body:bad_trailer")
        return body + b"0\r\n" + r.choice(TRAILERS + [b""]) + r.choice(BAD_TRAILERS) + b"\r\n"
    if roll < 0.96:
        tags.add("body:extension")
        return body + b"0" + r.choice(EXTENSIONS) + b"\r\n\r\n"
    tags.add("body:bad_last")
    return body + r.choice(
        [b"0\n\n", b"0\r\nXX", b"0\r\n\n", b"0\n\r\n", b"0\r\n\rX", b"", b"0", b"0\r\n", b"0\r\n\r", b"00000000g\r\n\r\n"]
    )


def framed(r, tags, data):
    """(header lines, bytes): a body with what announces it."""
    roll = r.random()
    length = b"%d" % len(data)
    if roll < 0.50:
        tags.add("framing:length")
        return [b"Content-Length: " + length], data
    if roll < 0.82:
        tags.add("framing:chunked")
        return [b"Transfer-Encoding: " + r.choice(CODINGS_GOOD).encode()], chunks(r, tags, data)
    kind = r.choice(
        [
            "length_form",
            "length_twice",
            "length_unequal",
            "length_bad",
            "coding_bad",
            "coding_twice",
            "both",
            "space",
            "wrong",
            "none",
        ]
    )
    tags.add("framing:" + kind)
    if kind == "length_form":
        return [
            b"Content-Length: " + r.choice([b"00" + length, length + b"\t", length + b"," + length, length + b", " + length])
        ], data
    if kind == "length_twice":
        return [b"Content-Length: " + length, b"content-length:" + length], data
    if kind == "length_unequal":
        return [b"Content-Length: " + length, b"Content-Length: 0" + length], data
    if kind == "length_bad":
        return [b"Content-Length: " + r.choice(LENGTHS_BAD).encode("latin-1")], data
    if kind == "coding_bad":
        return [b"Transfer-Encoding: " + r.choice(CODINGS_BAD).encode("latin-1")], chunks(r, tags, data)
    if kind == "coding_twice":
        return [b"Transfer-Encoding: chunked", b"Transfer-Encoding: " + r.choice([b"chunked", b"identity"])], chunks(
            r, tags, data
        )
    if kind == "both":
        lines = [b"Content-Length: " + length, b"Transfer-Encoding: chunked"]
        r.shuffle(lines)
        return lines, chunks(r, tags, data)
    if kind == "space":
        return [r.choice([b"Content-Length : " + length, b"Transfer-Encoding : chunked"])], data
    if kind == "wrong":
        return [b"Content-Length: %d" % max(0, len(data) + r.choice((-3, -1, 1, 5)))], data
    return [], data
