"""Request lines, headers and framing: what is accepted and what is refused."""

from casebook.case import BAD_REQUEST, TOO_LARGE, Book, chunked, get, post, raw, status

book = Book()
add = book.add
NEXT = get("/dump/next")
LF = b"GET /dump HTTP/1.1\nHost: h.test\n\n"

# Start lines.
for name, line in {
    "plain": "GET /dump HTTP/1.1",
    "double_space": "GET  /dump HTTP/1.1",
    "double_space_2": "GET /dump  HTTP/1.1",
    "trailing_space": "GET /dump HTTP/1.1 ",
    "leading_space": " GET /dump HTTP/1.1",
    "tab": "GET\t/dump\tHTTP/1.1",
    "tab_in_target": "GET /du\tmp HTTP/1.1",
    "no_target": "GET HTTP/1.1",
    "empty_target": "GET  HTTP/1.1",
    "one_word": "GET",
    "http09": "GET /dump",
    "four_words": "GET /dump HTTP/1.1 x",
    "http20": "GET /dump HTTP/2.0",
    "http30": "GET /dump HTTP/3.0",
    "http00": "GET /dump HTTP/0.9",
    "http12": "GET /dump HTTP/1.2",
    "http19": "GET /dump HTTP/1.9",
    "http1": "GET /dump HTTP/1",
    "http111": "GET /dump HTTP/1.11",
    "http_lower": "GET /dump http/1.1",
    "http_mixed": "GET /dump Http/1.1",
    "http_space": "GET /dump HTTP/ 1.1",
    "http_plus": "GET /dump HTTP/+1.1",
    "icy": "GET /dump ICE/1.0",
    "https": "GET /dump HTTPS/1.1",
    "relative_target": "GET foo HTTP/1.1",
    "star": "OPTIONS * HTTP/1.1",
    "absolute": "GET http://a.test/dump?x=1 HTTP/1.1",
    "authority": "CONNECT h.test:443 HTTP/1.1",
    "high_target": "GET /dump/\xe9\xff HTTP/1.1",
    "del_target": "GET /dump/\x7f HTTP/1.1",
    "nul_target": "GET /dump/\x00 HTTP/1.1",
    "ctl_target": "GET /dump/\x01 HTTP/1.1",
    "quote_target": 'GET /dump/"<>\\^`{|} HTTP/1.1',
    "fragment": "GET /dump#frag?x HTTP/1.1",
    "fragment_query": "GET /dump?a=b#frag HTTP/1.1",
    "question_marks": "GET /dump?a=?&b=?? HTTP/1.1",
    "empty_query": "GET /dump? HTTP/1.1",
    "dots": "GET /dump/../dump HTTP/1.1",
    "double_slash": "GET //dump HTTP/1.1",
    "long_target": "GET /dump/" + "a" * 3000 + " HTTP/1.1",
    "long_method": "A" * 300 + " /dump HTTP/1.1",
    "lower_method": "get /dump HTTP/1.1",
    "mixed_method": "Get /dump HTTP/1.1",
    "odd_method": "X-Odd! /any-method HTTP/1.1",
    "lower_listed_method": "get /any-method HTTP/1.1",
    "token_method": "!#$%&'*+-.^_`|~09azAZ /dump HTTP/1.1",
    "bad_method": "GE(T /dump HTTP/1.1",
    "bad_method_colon": "GET: /dump HTTP/1.1",
    "bad_method_high": "G\xc9T /dump HTTP/1.1",
    "bad_method_quote": '"GET" /dump HTTP/1.1',
    "dunder_method": "__init__ /dump HTTP/1.1",
    "query_method": "QUERY /any-method HTTP/1.1",
    "query_method_405": "QUERY /dump HTTP/1.1",
    "propfind": "PROPFIND /any-method HTTP/1.1",
    "propfind_405": "PROPFIND /dump HTTP/1.1",
    "connect_method": "CONNECT /any-method HTTP/1.1",
    "trace": "TRACE /dump HTTP/1.1",
    "m_search": "M-SEARCH /dump HTTP/1.1",
    "pri": "PRI * HTTP/2.0",
    "unicode_digit": "GET /dump HTTP/1.\xb9",
}.items():
    add("line_" + name, raw(line))
for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
    add("method_%s" % method.lower(), get("/dump", method=method))
    add("method_only_get_%s" % method.lower(), get("/only-get", method=method))
add("line_leading_crlf", b"\r\n" + get("/dump"))
add("line_leading_lf", b"\n" + get("/dump"))
for n in (2, 8):
    add("line_leading_crlf_%d" % n, b"\r\n" * n + get("/dump"), row=43, expect=status(200, closed=False))
    add("line_leading_lf_%d" % n, b"\n" * n + get("/dump"), row=43, expect=status(200, closed=False))
add("line_leading_crlf_9", b"\r\n" * 9 + get("/dump"))
add("line_leading_crlf_many", b"\r\n" * 4000 + get("/dump"))
add("line_leading_cr", b"\r" + get("/dump"), row=28, expect=BAD_REQUEST)
add("line_crlf_between", get("/dump") + b"\r\n" + get("/dump"))
add("line_crlf_between_3", get("/dump") + b"\r\n\r\n\r\n" + get("/dump"), row=43, expect=status(200, 2, closed=False))
add("line_crlf_after_post", post("/dump", b"x") + b"\r\n" + get("/dump"))
add("line_tls_hello", bytes.fromhex("160301020001000001fc0303") + bytes(range(64)) + b"\r\n\r\n")
add("line_garbage", bytes(range(256)) + b"\r\n\r\n")
waits = {"row": 43, "expect": lambda o: None if o.data == b"" and not o.records else "%r %r" % (o.data, o.records)}
add("line_empty", b"\r\n\r\n", ("settle",), ("eof",), **waits)
add("line_only_lf", b"\n\n", ("settle",), ("eof",), **waits)
add("line_nothing", ("settle",), ("eof",))
add("line_half", b"GET /dump HT", ("settle",), ("eof",))
add("line_half_headers", b"GET /dump HTTP/1.1\r\nHost: h.te", ("settle",), ("eof",))
add("line_half_close", b"GET /dump HTTP/1.1\r\nHost: h.te", ("settle",), ("close",))
add("line_half_reset", b"GET /dump HTTP/1.1\r\nHost: h.te", ("settle",), ("reset",))
add("line_second_half", get("/dump") + b"GET /du", ("settle",), ("eof",))

# Line ends.
add("ends_lf", LF)
add("ends_mixed", b"GET /dump HTTP/1.1\r\nHost: h.test\nA: b\r\nC: d\n\r\n")
add("ends_mixed_2", b"GET /dump HTTP/1.1\nHost: h.test\r\nA: b\n\r\n")
add("ends_mixed_3", b"GET /dump HTTP/1.1\r\nHost: h.test\r\nA: b\r\n\n")
add("ends_lf_twice", LF + LF)
add("ends_lf_post", b"POST /dump HTTP/1.1\nHost: h.test\nContent-Length: 3\n\nabc")
add("ends_cr_only", b"GET /dump HTTP/1.1\rHost: h.test\r\r\n\r\n")
add("ends_cr_in_value", raw("GET /dump HTTP/1.1", "A: b\rc"))
add("ends_cr_cr_lf", b"GET /dump HTTP/1.1\r\r\nHost: h.test\r\n\r\n", row=28, expect=BAD_REQUEST)
add("ends_cr_cr_lf_header", b"GET /dump HTTP/1.1\r\nHost: h.test\r\r\nA: b\r\n\r\n")
add("ends_cr_at_end", b"GET /dump HTTP/1.1\r\nHost: h.test\r\r\n\r\n")

# Header lines.
for name, line in {
    "plain": "X-A: b",
    "no_space": "X-A:b",
    "many_spaces": "X-A:    b   ",
    "tabs": "X-A:\tb\t",
    "inner": "X-A: b  \t c",
    "empty": "X-A:",
    "spaces_only": "X-A:   ",
    "colons": "X-A: b: c:d",
    "no_colon": "X-A b",
    "colon_first": ": b",
    "space_before_colon": "X-A : b",
    "tab_before_colon": "X-A\t: b",
    "space_in_name": "X A: b",
    "lower_name": "x-lower-name: b",
    "upper_name": "X-UPPER-NAME: b",
    "odd_case": "x-oDD-nAME--x: b",
    "token_name": "!#$%&'*+-.^_`|~09azAZ: b",
    "paren_name": "X(A): b",
    "high_name": "X-\xe9: b",
    "nul_name": "X-\x00A: b",
    "slash_name": "X/A: b",
    "at_name": "X@A: b",
    "quote_name": 'X"A": b',
    "underscore": "x_under_score: b",
    "digits": "1234: b",
    "nul": "X-A: b\x00c",
    "ctl": "X-A: b\x01c",
    "bell": "X-A: \x07",
    "esc": "X-A: b\x1bc",
    "del": "X-A: b\x7fc",
    "vt": "X-A: b\x0bc",
    "ff": "X-A: b\x0c",
    "ff_edge": "X-A: \x0cb",
    "nel": "X-A: b\x85c",
    "nbsp": "X-A: \xa0b\xa0",
    "high": "X-A: \x80\xe9\xff",
    "utf8": b"X-A: caf\xc3\xa9",
    "fold_space": "X-A: b\r\n c",
    "fold_tab": "X-A: b\r\n\tc",
    "fold_empty": "X-A: b\r\n ",
    "fold_only": "X-A:\r\n b",
    "fold_content_length": "Content-Length:\r\n 3",
    "fold_transfer": "Transfer-Encoding:\r\n chunked",
    "fold_twice": "X-A: b\r\n c\r\n d",
    "long": "X-A: " + "v" * 9000,
    "long_name": "X-" + "n" * 9000 + ": v",
    "many_colons": ":" * 50,
    "newline_colon": "X-A: b\r\n: c",
}.items():
    add("header_" + name, raw("GET /dump HTTP/1.1", line))
add("header_first_space", b"GET /dump HTTP/1.1\r\n Host: h.test\r\n\r\n")
add("header_first_tab", b"GET /dump HTTP/1.1\r\n\tHost: h.test\r\nHost: h.test\r\n\r\n")
add("header_repeated", get("/dump", "X-A: 1", "x-a: 2", "X-B: 3", "X-A: 4"))
add("header_repeated_empty", get("/dump", "X-A:", "X-A:", "X-A: x"))
add("header_order", get("/dump", "B: 1", "A: 2", "C: 3", "B: 4", host="last.test"))
add("header_none", raw("GET /dump HTTP/1.0", host=None))
add("header_many", get("/dump", *["X-%d: %d" % (i, i) for i in range(200)]))
add("header_1000", get("/write/str", *["X-%d: 1" % i for i in range(999)]))
add("header_1001", get("/write/str", *["X-%d: 1" % i for i in range(1000)]), row=49, expect=TOO_LARGE)
add("header_2000_same", get("/write/str", *["X-A: 1"] * 2000), row=49, expect=TOO_LARGE)
add("header_too_large", get("/dump", "X-A: " + "v" * 66000), modes="wr", row=44, expect=TOO_LARGE)
add("header_too_large_line", get("/" + "v" * 66000), modes="wr", row=44, expect=TOO_LARGE)
add("header_never_ends", b"GET / HTTP/1.1\r\nX: " + b"v" * 70000, modes="wr", row=44, expect=TOO_LARGE)
add("header_just_fits", get("/write/str", "X-A: " + "v" * 65400), modes="wr")
for size in range(508, 517):
    # The whole head, its blank line included, against max_header_size=512.
    request = get("/write/str", "X: ")
    request = request.replace(b"X: ", b"X: " + b"v" * (size - len(request)))
    assert len(request) == size
    large = {"row": 44, "expect": TOO_LARGE} if size > 512 else {}
    add("header_limit_%d" % size, request, server="small_header", **large)
    with_body = request.replace(b"GET", b"PUT").replace(b"X: vvvvvvvvvvvvvvv", b"Content-Length: 3")
    with_body = with_body.replace(b"h.test", b"h.test" + b"t" * (size - len(with_body)))
    add("header_limit_body_%d" % size, with_body + b"abc", server="small_header", **large)
add(
    "header_limit_second",
    get("/write/str") + get("/write/str", "X: " + "v" * 600),
    server="small_header",
    row=44,
    expect=lambda o: None if o.data.endswith(b"plain" + TOO_LARGE) and o.closed else repr(o.data),
)
add("header_limit_pipelined", get("/write/str") * 20, server="small_header")

# Host.
for name, value in {
    "port": "h.test:8080",
    "upper": "H.TEST",
    "empty": "",
    "space": "a b",
    "comma": "a,b",
    "slash": "a/b",
    "at": "u@h.test",
    "high": "h\xe9.test",
    "colon_x": "a:x",
    "colon": "a:",
    "port_only": ":80",
    "ipv4": "127.0.0.1:80",
    "ipv6": "[::1]:80",
    "ipv6_bare": "::1",
    "brackets": "[v1.x]",
    "underscore": "a_b.test",
    "percent": "a%41b",
    "percent_bad": "a%4",
    "sub_delims": "a!$&'()*+;=b",
    "question": "a?b",
    "quote": 'a"b',
    "lt": "<script>",
    "trailing_dot": "h.test.",
    "pipe": "a|b",
    "hash": "a#b",
    "backslash": "a\\b",
}.items():
    add("host_" + name, get("/dump", host=value))
add("host_missing", raw("GET /dump HTTP/1.1", host=None))
add("host_missing_pipelined", raw("GET /dump HTTP/1.1", host=None) + NEXT)
add("host_missing_10", raw("GET /dump HTTP/1.0", host=None))
add("host_missing_12", raw("GET /dump HTTP/1.2", host=None))
add("host_twice", get("/dump", "Host: h.test"))
add("host_twice_other", get("/dump", "Host: other"))
add("host_twice_empty", get("/dump", "Host:", host=""))
add("host_twice_10", get("/dump", "Host: h.test", version="1.0"))
add("host_absolute_other", raw("GET http://a.test/dump HTTP/1.1"))
add("host_lower_name", raw("GET /dump HTTP/1.1", "host: low.test", host=None))

# Lengths.
for name, value in {
    "plain": "3",
    "zeros": "0003",
    "plus": "+3",
    "minus": "-3",
    "minus_zero": "-0",
    "hex": "0x3",
    "underscore": "1_0",
    "two_words": "3 4",
    "empty": "",
    "text": "abc",
    "float": "3.0",
    "exponent": "3e0",
    "superscript": "\xb3",
    "tab_after": "3\t",
    "list_equal": "3, 3",
    "list_equal_tight": "3,3",
    "list_equal_tab": "3,\t3",
    "list_unequal": "3, 4",
    "list_empty": "3,",
    "list_leading": ",3",
    "list_zero": "3, 03",
    "two_63": str(2**63),
    "two_63_less": str(2**63 - 1),
    "two_64": str(2**64),
    "two_64_3": str(2**64 + 3),
    "two_32": str(2**32),
    "limit": "104857601",
    "digits_5000": "9" * 5000,
    "zeros_4999": "0" * 4999 + "3",
    "zeros_60": "0" * 60 + "3",
    "nbsp": "3\xa0",
    "quote": '"3"',
    "nul": "3\x00",
}.items():
    add("length_" + name, get("/dump", "Content-Length: " + value, method="POST", body=b"abc"))
add("length_twice", get("/dump", "Content-Length: 3", "Content-Length: 3", method="POST", body=b"abc"))
add("length_twice_unequal", get("/dump", "Content-Length: 3", "Content-Length: 4", method="POST", body=b"abcd"))
add("length_three", get("/dump", *["Content-Length: 3"] * 3, method="POST", body=b"abc") + NEXT)
add("length_space_colon", get("/dump", "Content-Length : 3", method="POST", body=b"abc"))
add("length_zero", get("/dump", "Content-Length: 0", method="POST") + NEXT)
add("length_none_post", get("/dump", method="POST") + NEXT)
add("length_get", get("/dump", "Content-Length: 3", body=b"abc") + NEXT)
add("length_head", get("/dump", "Content-Length: 3", method="HEAD", body=b"abc") + NEXT)
add("length_delete", get("/dump", "Content-Length: 3", method="DELETE", body=b"abc") + NEXT)
add("length_short_eof", get("/dump", "Content-Length: 5", method="POST", body=b"abc"), ("settle",), ("eof",))
add("length_short_reset", get("/dump", "Content-Length: 5", method="POST", body=b"abc"), ("settle",), ("reset",))
add("length_at_limit", post("/dump", b"x" * 64), server="small_body")
add("length_over_limit", post("/dump", b"x" * 65), server="small_body")
add("length_over_limit_get", get("/dump", "Content-Length: 65"), server="small_body")
add("length_limit_next", post("/dump", b"x" * 64) * 2 + post("/dump", b"x" * 65), server="small_body")

# Chunked bodies.
add("chunked_plain", chunked("/dump", b"abc", b"defgh"))
add("chunked_none", chunked("/dump") + NEXT)
add("chunked_next", chunked("/dump", b"abc") + NEXT)
add("chunked_get", chunked("/dump", b"abc", method="GET") + NEXT)
add("chunked_many", chunked("/dump", *[b"%d" % (i % 10) for i in range(60)]) + NEXT)
add("chunked_binary", chunked("/dump", bytes(range(256))))
add("chunked_large", chunked("/stream", b"x" * 70000, b"y" * 70000), modes="wr")
for name, body in {
    "upper_hex": b"A\r\n0123456789\r\n0\r\n\r\n",
    "leading_zeros": b"0003\r\nabc\r\n0\r\n\r\n",
    "zeros_last": b"3\r\nabc\r\n000\r\n\r\n",
    "underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
    "plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "hex_prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "space_before": b" 3\r\nabc\r\n0\r\n\r\n",
    "space_after": b"3 \r\nabc\r\n0\r\n\r\n",
    "tab_after": b"3\t\r\nabc\r\n0\r\n\r\n",
    "empty": b"\r\nabc\r\n0\r\n\r\n",
    "letters": b"xyz\r\nabc\r\n0\r\n\r\n",
    "nul": b"3\x00\r\nabc\r\n0\r\n\r\n",
    "high": b"\xb3\r\nabc\r\n0\r\n\r\n",
    "cr_x": b"3\rX\r\nabc\r\n0\r\n\r\n",
    "no_crlf_after": b"3\r\nabcXX0\r\n\r\n",
    "lf_after_data": b"3\r\nabc\n0\r\n\r\n",
    "cr_after_data": b"3\r\nabc\rX0\r\n\r\n",
    "too_long": b"3\r\nabcd\r\n0\r\n\r\n",
    "last_no_crlf": b"3\r\nabc\r\n0\r\nXX",
    "huge_16": b"FFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
    "huge_15": b"7FFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
    "huge_17": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "huge_8": b"FFFFFFFF\r\nabc\r\n0\r\n\r\n",
    "over_100mb": b"6400001\r\nabc\r\n0\r\n\r\n",
    "zeros_50": b"0" * 50 + b"3\r\nabc\r\n0\r\n\r\n",
    "extension_space": b"3 ;a=b\r\nabc\r\n0\r\n\r\n",
    "size_lf": b"3\nabc\r\n0\r\n\r\n",
    "semicolon_lf": b"3;a\nabc\r\n0\r\n\r\n",
}.items():
    add("chunked_" + name, get("/dump", "Transfer-Encoding: chunked", method="POST", body=body + NEXT))
for name, body in {"all_lf": b"3\nabc\n0\n\n", "zero_lf_lf": b"0\n\n"}.items():
    # Tornado waits for a CRLF up to 64 bytes on.
    add("chunked_" + name, get("/dump", "Transfer-Encoding: chunked", method="POST", body=body), row=26, expect=BAD_REQUEST)
add(
    "chunked_zeros_200",
    get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"0" * 200 + b"3\r\nabc\r\n0\r\n\r\n"),
    row=23,
    expect=BAD_REQUEST,
)
add(
    "chunked_size_never_ends",
    get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"1" * 5000),
    row=23,
    expect=BAD_REQUEST,
)
for name, line in {"short": b";a=b", "flag": b";a", "quoted": b';a="b;c"', "two": b";a=b;c=d"}.items():
    body = b"3%s\r\nabc\r\n0%s\r\n\r\n" % (line, line)
    add(
        "chunked_extension_" + name,
        get("/dump", "Transfer-Encoding: chunked", method="POST", body=body + NEXT),
        row=19,
        expect=status(200, 2, closed=False, contains=b"body=b'abc'"),
    )
add(
    "chunked_extension_large",
    get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"3;" + b"a" * 15000 + b"\r\nabc\r\n0\r\n\r\n"),
    modes="wr",
    row=19,
    expect=status(200, closed=False),
)
add(
    "chunked_extension_too_large",
    get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"3;" + b"a" * 17000 + b"\r\nabc\r\n0\r\n\r\n"),
    modes="wr",
    row=19,
    expect=BAD_REQUEST,
)
add(
    "chunked_extension_sum",
    get(
        "/dump",
        "Transfer-Encoding: chunked",
        method="POST",
        body=b"".join([b"1;" + b"a" * 1000 + b"\r\nx\r\n"] * 20) + b"0\r\n\r\n",
    ),
    modes="wr",
    row=19,
    expect=BAD_REQUEST,
)
for name, lines in {"one": b"X-T: 1\r\n", "two": b"X-T: 1\r\nX-U: 2\r\n", "repeat": b"Host: evil\r\nCookie: a=b\r\n"}.items():
    add(
        "trailer_" + name,
        chunked("/dump", b"abc", tail=b"0\r\n" + lines + b"\r\n") + NEXT,
        row=24,
        expect=status(200, 2, closed=False, lacks=b"X-T"),
    )
add("trailer_length", chunked("/dump", b"abc", tail=b"0\r\nContent-Length: 3\r\n\r\n") + NEXT)
add("trailer_transfer", chunked("/dump", b"abc", tail=b"0\r\nTransfer-Encoding: chunked\r\n\r\n") + NEXT)
add("trailer_bad", chunked("/dump", b"abc", tail=b"0\r\nno colon\r\n\r\n") + NEXT)
add("trailer_too_large", chunked("/dump", b"abc", tail=b"0\r\n" + b"X: y\r\n" * 20000 + b"\r\n"), modes="wr")
add("chunked_eof", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"5\r\nabc"), ("settle",), ("eof",))
add("chunked_eof_size", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"5"), ("settle",), ("eof",))
add(
    "chunked_eof_last",
    get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\n0\r\n"),
    ("settle",),
    ("eof",),
)
add("chunked_at_limit", chunked("/dump", b"x" * 32, b"y" * 32), server="small_body")
add("chunked_over_limit", chunked("/dump", b"x" * 32, b"y" * 33), server="small_body")
add("chunked_over_limit_one", chunked("/dump", b"x" * 65), server="small_body")

# Transfer-Encoding.
for name, lines in {
    "mixed_case": ["Transfer-Encoding: ChUnKeD"],
    "trailing_space": ["Transfer-Encoding: chunked \t"],
    "twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "twice_one_line": ["Transfer-Encoding: chunked, chunked"],
    "identity": ["Transfer-Encoding: identity"],
    "chunked_identity": ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    "identity_chunked": ["Transfer-Encoding: identity, chunked"],
    "gzip": ["Transfer-Encoding: gzip"],
    "gzip_chunked": ["Transfer-Encoding: gzip, chunked"],
    "gzip_chunked_lines": ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
    "empty": ["Transfer-Encoding:"],
    "xchunked": ["Transfer-Encoding: xchunked"],
    "parameter": ["Transfer-Encoding: chunked;p"],
    "trailing_comma": ["Transfer-Encoding: chunked,"],
    "leading_comma": ["Transfer-Encoding: ,chunked"],
    "quoted": ['Transfer-Encoding: "chunked"'],
    "nbsp": ["Transfer-Encoding: chunked\xa0"],
    "vt": ["Transfer-Encoding: \x0bchunked"],
    "dotless": ["Transfer-Encoding: chun\xaeed"],
    "with_length": ["Transfer-Encoding: chunked", "Content-Length: 3"],
    "after_length": ["Content-Length: 3", "Transfer-Encoding: chunked"],
    "with_length_identity": ["Content-Length: 3", "Transfer-Encoding: identity"],
    "with_bad_length": ["Content-Length: x", "Transfer-Encoding: chunked"],
    "space_colon": ["Transfer-Encoding : chunked"],
    "other_name": ["Transfer_Encoding: chunked"],
}.items():
    add("transfer_" + name, get("/dump", *lines, method="POST", body=b"3\r\nabc\r\n0\r\n\r\n"))
add("transfer_10", chunked("/dump", b"abc", version="1.0"))
add(
    "transfer_10_keep",
    chunked("/dump", b"abc", version="1.0", headers=["Connection: keep-alive"]) + NEXT,
)
add("transfer_identity_10_get", get("/dump", "Transfer-Encoding: identity", version="1.0"))
for server in ("main", "no_keep_alive"):
    add("transfer_10_stream_error_" + server, get("/stream?mode=error", "Transfer-Encoding: x", version="1.0"), server=server)
add("transfer_10_with_length", get("/dump", "Transfer-Encoding: chunked", "Content-Length: 3", version="1.0"))
