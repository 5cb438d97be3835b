"""Routes, path and query arguments, forms, multipart bodies, cookies, XSRF."""

from casebook.case import Book, chunked, form, get, head, multipart, post

book = Book()
add = book.add
LEVELS = "wr"  # these cases are about what a complete request means: no need for single bytes

# Paths.
for name, path in {
    "root": "/",
    "literal": "/literal.txt",
    "literal_dot": "/literalXtxt",
    "dollar": "/dollar",
    "dollar_more": "/dollars",
    "prefix": "/prefix-and-more",
    "caret": "/caret",
    "trailing_slash": "/dump/x/",
    "none": "/nosuch",
    "none_query": "/nosuch?a=b",
    "arg": "/dump/value",
    "arg_empty": "/dump/",
    "arg_escape": "/dump/a%20b%2Fc%25",
    "arg_plus": "/dump/a+b",
    "arg_lower_hex": "/dump/%c3%a9",
    "arg_utf8": "/dump/%E4%B8%AD",
    "arg_bad_utf8": "/dump/%FF",
    "arg_bad_utf8_long": "/dump/" + "%FF" * 60,
    "arg_raw_high": "/dump/\xe9",
    "arg_raw_utf8": "/dump/\xc3\xa9",
    "arg_bad_escape": "/dump/%zz%4",
    "arg_nul": "/dump/%00",
    "arg_newline": "/dump/%0D%0AX:1",
    "arg_surrogate": "/dump/%ED%A0%80",
    "arg_overlong": "/dump/%C0%AF",
    "two": "/two/12/rest/of/it",
    "two_empty": "/two/12/",
    "two_letters": "/two/ab/x",
    "two_unicode_digit": "/two/%D9%A1/x",
    "named": "/named/a",
    "named_two": "/named/a/b%20c",
    "named_bad": "/named/%FF/b",
    "named_bad_second": "/named/a/%80",
    "optional_0": "/optional",
    "optional_1": "/optional/abc",
    "optional_2": "/optional/abc/12",
    "optional_only_second": "/optional/12",
    "latin": "/latin/%E9",
    "latin_word": "/latin/\xe9a_1",
    "latin_named": "/latin-named/%E9%FF?a=%E9",
    "reverse": "/reverse",
    "reverse_arg": "/reverse/x/3",
    "by_method": "/by-method/x",
    "rule": "/rule",
    "nested_a": "/nested/a",
    "nested_b": "/nested/b/arg",
    "nested_none": "/nested/none",
    "nested_fall": "/nested/fall",
    "only_matched": "/only-matched",
    "prefix_router": "/prefix-router/x",
    "prefix_router_args": "/prefix-router/args",
    "prefix_router_none": "/prefix-router/none",
    "matcher_raises": "/matcher-raises",
    "matcher_refuses": "/matcher-refuses",
    "bare": "/bare",
    "bare_arg": "/bare/a%20b",
    "echo": "/echo/plain",
    "double_slash_only": "//",
    "semicolon": "/dump;a=b",
    "fallback": "/fallback/x?y=z",
    "redirect": "/moved",
    "redirect_query": "/moved?a=b&a=c&d=",
    "redirect_302": "/moved-302",
    "redirect_302_query": "/moved-302?y=%20",
    "redirect_groups": "/moved/a%20b/c",
    "redirect_groups_slash": "/moved//evil.test",
    "redirect_host": "/moved-host/x",
    "redirect_host_at": "/moved-host/@evil.test",
    "redirect_open": "/moved-open//evil.test",
    "redirect_open_scheme": "/moved-openhttp://evil.test",
    "redirect_newline": "/moved/%0D%0AX:1/y",
    "redirect_braces": "/moved/{0}/{1}",
    "error_handler": "/error/403",
    "favicon": "/favicon.ico",
    "robots": "/robots.txt",
    "unexpected_kwargs": "/unexpected-kwargs",
    "newline_end": "/dump/%0A",
    "regex_newline": "/literal.txt%0A",
    "long": "/dump/" + "x" * 5000,
}.items():
    add("route_" + name, get(path), modes=LEVELS)
    add("route_post_" + name, post(path, b"a=1"), modes="w")
add("route_head_redirect", head("/moved"))
add("route_put_by_method", post("/by-method/x", b"", method="PUT"))
add("route_header", get("/anything", "X-Route: value"))
add("route_header_high", get("/anything", "X-Route: \xe9"))
add("route_header_utf8", get("/anything", b"X-Route: caf\xc3\xa9"))
add("route_header_empty", get("/anything", "X-Route:"))
add("route_error_post", post("/error/403", b"x"))
add("route_404_head", head("/nosuch"))
add("route_404_method", get("/nosuch", method="BREW"))
add("route_404_body", post("/nosuch", b"x" * 5000))
add("route_raises_next", get("/matcher-raises") + get("/dump"))
add("route_refuses_next", get("/matcher-refuses") + get("/dump"))
for host in (
    "first.test",
    "FIRST.test:80",
    "first.test.",
    "second.test",
    "third.test:99",
    "xsecond.test",
    "secondXtest",
    "matched.x",
    "[::1]:80",
    "first.testing",
):
    for path in ("/host", "/dump", "/only-matched"):
        add("host_route_%s%s" % (host, path.replace("/", "_")), get(path, host=host), modes="w")
for host in ("default.test", "other.test", "elsewhere", "127.0.0.1"):
    for path in ("/host", "/other", "/plain", "/nosuch"):
        add("default_host_%s%s" % (host, path.replace("/", "_")), get(path, host=host), server="default_host", modes="w")
        add(
            "default_host_real_ip_%s%s" % (host, path.replace("/", "_")),
            get(path, "X-Real-Ip: 1.1.1.1", host=host),
            server="default_host",
            modes="w",
        )
add("default_handler_post", post("/nosuch", b"abc") + get("/plain"), server="default_host")
add("default_handler_head", head("/nosuch"), server="default_host")
for path in ("/bare", "/bare/rest%20x", "/dump", "/app/x", "/nothing", "/dump/x"):
    add("bare_router" + path.replace("/", "_"), get(path) + post(path, b"abc"), server="router")
add("bare_router_head", head("/nothing") + get("/dump"), server="router")
add("bare_router_10", get("/nothing", version="1.0"), server="router")

# Query arguments.
for name, query in {
    "none": "",
    "one": "a=1",
    "repeat": "a=1&a=2&a=3",
    "blank": "a=&b",
    "plus": "a=b+c",
    "escape": "a=%20x%20&a=%2B",
    "semicolon": "a=1;b=2",
    "equals": "a=b=c",
    "ampersands": "&&a=1&&",
    "utf8": "a=%C3%A9",
    "raw_high": "a=\xe9",
    "bad_utf8": "a=%FF",
    "bad_utf8_name": "%FF=1&a=2",
    "bad_escape": "a=%zz",
    "control": "a=x%01y%1Fz",
    "strip": "a=%20%09x%0A",
    "nul": "a=%00",
    "empty_name": "=x&a=1",
    "brackets": "a[]=1&a[b]=2",
    "encoded_name": "%61=1",
    "fragment": "a=1#b=2",
    "plus_name": "a+b=1",
    "escape_cut": "a=%&a=%4",
    "escape_cases": "a=%c3%A9",
    "bad_utf8_first": "a=%FF&a=1",
    "bad_utf8_last": "a=1&a=%C3",
    "unicode_space": "a=%C2%A0x%E3%80%80",
    "only_space": "a=+%09+",
    "long": "b=" + "x" * 300 + "&a=%20y+",
    "long_bad_utf8": "b=" + "x" * 300 + "&a=%FF",
    "999": "&".join("a=%d" % i for i in range(999)),
    "1000": "&".join("a=%d" % i for i in range(1000)),
    "1001": "&".join("a=%d" % i for i in range(1001)),
    "1001_empty": "&" * 1001 + "a=1",
}.items():
    add("query_" + name, get("/arguments?" + query), modes=LEVELS)
    add("query_dump_" + name, get("/dump?" + query) + get("/dump"), modes="w")
    add("form_" + name, form("/arguments?a=query", query.encode("latin-1")), modes="w")
add("missing_default", get("/missing"))
for which in ("argument", "query_argument", "body_argument"):
    add("missing_" + which, get("/missing?which=" + which), modes="w")
    add("present_" + which, form("/missing?which=" + which, b"needed=x"), modes="w")
add("bad_strip", get("/bad-strip?a=1"))

# Forms and multipart bodies.
for name, line in {
    "charset": "Content-Type: application/x-www-form-urlencoded; charset=UTF-8",
    "upper": "Content-Type: APPLICATION/X-WWW-FORM-URLENCODED",
    "longer": "Content-Type: application/x-www-form-urlencodedness",
    "json": "Content-Type: application/json",
    "text": "Content-Type: text/plain",
}.items():
    add("content_type_" + name, post("/dump?a=q", b"a=1&b=%20", line), modes=LEVELS)
for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
    add("form_method_" + method.lower(), form("/dump", b"a=1", method=method), modes="w")
add("form_chunked", chunked("/dump", b"a=1&b", b"=2", headers=["Content-Type: application/x-www-form-urlencoded"]))
add("form_encoding", form("/dump", b"a=1", "Content-Encoding: br") + get("/dump"))
add("form_binary", form("/dump", bytes(range(256))), modes=LEVELS)
DISP = b'Content-Disposition: form-data; name="a"'
FILE = b'Content-Disposition: form-data; name="f"; filename="n.txt"'
MULTI = "Content-Type: multipart/form-data; boundary=XX"
PARTS = {
    "one": multipart((DISP, b"value")),
    "two": multipart((DISP, b"v1"), (DISP, b"v2")),
    "file": multipart((FILE + b"\r\nContent-Type: text/plain", b"content\r\n--X")),
    "file_no_type": multipart((FILE, b"content")),
    "file_binary": multipart((FILE, bytes(range(256)))),
    "file_empty": multipart((FILE, b"")),
    "filename_empty": multipart((b'Content-Disposition: form-data; name="f"; filename=""', b"x")),
    "filename_utf8": multipart((b'Content-Disposition: form-data; name="f"; filename="\xc3\xa9"', b"x")),
    "filename_star": multipart((b"Content-Disposition: form-data; name=\"f\"; filename*=UTF-8''%C3%A9", b"x")),
    "filename_quote": multipart((b'Content-Disposition: form-data; name="f"; filename="a\\"b;c"', b"x")),
    "filename_backslash": multipart((b'Content-Disposition: form-data; name="f"; filename="C:\\\\x\\\\y"', b"x")),
    "unquoted": multipart((b"Content-Disposition: form-data; name=a", b"x")),
    "extra_headers": multipart((DISP + b"\r\nX-Extra: 1\r\nContent-Type: text/x", b"x")),
    "lower_header": multipart((DISP.lower(), b"x")),
    "no_name": multipart((b"Content-Disposition: form-data", b"x")),
    "empty_name": multipart((b'Content-Disposition: form-data; name=""', b"x")),
    "no_disposition": multipart((b"X-Other: 1", b"x")),
    "attachment": multipart((b'Content-Disposition: attachment; name="a"', b"x")),
    "bad_utf8_header": multipart((b'Content-Disposition: form-data; name="\xff"', b"x")),
    "control_header": multipart((b'Content-Disposition: form-data; name="a\x01"', b"x")),
    "no_colon": multipart((b"Content-Disposition", b"x")),
    "folded": multipart((b'Content-Disposition: form-data;\r\n name="a"', b"x")),
    "lf_headers": b'--XX\r\nContent-Disposition: form-data; name="a"\n\nx\r\n--XX--\r\n',
    "no_end": multipart((DISP, b"x"), end=b""),
    "no_final_dashes": multipart((DISP, b"x"), end=b"--XX\r\n"),
    "end_no_crlf": multipart((DISP, b"x"), end=b"--XX--"),
    "preamble": b"preamble\r\n" + multipart((DISP, b"x")),
    "epilogue": multipart((DISP, b"x"), end=b"--XX--\r\nepilogue"),
    "no_headers": b"--XX\r\n\r\nx\r\n--XX--\r\n",
    "no_blank_line": b'--XX\r\nContent-Disposition: form-data; name="a"\r\n--XX--\r\n',
    "value_no_crlf": b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nx--XX--\r\n',
    "empty": b"",
    "only_end": b"--XX--\r\n",
    "other_boundary": multipart((DISP, b"x"), boundary=b"YY", end=b"--YY--\r\n"),
    "inner_boundary": multipart((DISP, b"a\r\n--XX-not\r\nb")),
    "parts_100": multipart(*[(DISP, b"%d" % i) for i in range(99)]),
    "parts_101": multipart(*[(DISP, b"%d" % i) for i in range(100)]),
    "parts_200": multipart(*[(DISP, b"%d" % i) for i in range(200)]),
    "header_10k": multipart((DISP + b"\r\nX: " + b"x" * 10180, b"x")),
    "header_over_10k": multipart((DISP + b"\r\nX: " + b"x" * 10300, b"x")),
    "semicolons": multipart((b'Content-Disposition: form-data; name="a";' + b'"' * 50 + b";" * 500, b"x")),
}
for name, body in PARTS.items():
    add("multipart_" + name, post("/dump", body, MULTI) + get("/write/str"), modes=LEVELS)
for name, value in {
    "quoted": 'multipart/form-data; boundary="XX"',
    "none": "multipart/form-data",
    "empty": "multipart/form-data; boundary=",
    "longer": "multipart/form-dataxyz; boundary=XX",
    "more": "multipart/form-data; charset=utf-8; boundary=XX; x=y",
    "upper": "MULTIPART/FORM-DATA; boundary=XX",
    "upper_parameter": "multipart/form-data; Boundary=XX",
    "space": "multipart/form-data; boundary= XX",
    "two": "multipart/form-data; boundary=XX; boundary=YY",
    "high": "multipart/form-data; boundary=X\xe9",
}.items():
    add("multipart_type_" + name, post("/dump", PARTS["one"], "Content-Type: " + value) + get("/write/str"), modes=LEVELS)
add("multipart_encoding", post("/dump", PARTS["one"], MULTI, "Content-Encoding: gzip") + get("/write/str"))
add("multipart_no_body", get("/dump", MULTI, method="POST"))
add("multipart_get", get("/dump", MULTI))

# Cookies.
for name, value in {
    "one": "a=b",
    "two": "a=b; c=d",
    "no_space": "a=b;c=d",
    "repeat": "a=1; a=2",
    "quoted": 'a="b c"; d=e',
    "quoted_escape": 'a="b\\"c\\073\\054"',
    "octal": 'a="\\303\\251\\777\\400"',
    "no_value": "a; b=",
    "no_name": "=x; b=1",
    "equals": "a=b=c==",
    "bad_key": "a b=1; c=2; d[e]=3",
    "reserved": "path=/x; a=b; Expires=never",
    "high": "a=\xe9",
    "utf8": "a=\xc3\xa9",
    "empty": "",
    "semicolons": ";;; ; a=b ;",
    "commas": "a=1, b=2",
    "tab": "a=\tb",
    "dollar": "$Version=1; a=b; $Path=/",
    "many": "; ".join("k%d=v" % i for i in range(100)),
    "unclosed": 'a="b; c=d',
    "colon": "a:b=c",
    "json": 'a={"x":1}',
}.items():
    add("cookie_" + name, get("/cookies", "Cookie: " + value), modes=LEVELS)
    add("cookie_dump_" + name, get("/dump", "Cookie: " + value), modes="w")
add("cookie_two_lines", get("/cookies", "Cookie: a=b", "Cookie: c=d"))
for name, steps in {
    "set": ["set,a,b"],
    "set_two": ["set,a,b", "set,c,d"],
    "set_order": ["set,z,1", "set,a,2", "set,z,3"],
    "attrs": ["attrs,a,b"],
    "expires": ["expires,a,b"],
    "days": ["days,a,b"],
    "path": ["path,a,b,/x"],
    "path_none": ["path,a,b,"],
    "path_bad": ["path,a,b,/x%3Bsecure"],
    "domain": ["domain,a,b,x.test"],
    "domain_bad": ["domain,a,b,x%0D%0AX"],
    "kwargs": ["kwargs,a,b"],
    "clear": ["clear,a"],
    "clear_all": ["clear_all"],
    "clear_bad": ["clear_bad,a"],
    "set_clear": ["set,a,b", "clear,a"],
    "signed": ["signed,a,value"],
    "signed1": ["signed1,a,value"],
    "roundtrip": ["roundtrip,a,value"],
    "read": ["read,a", "read,z"],
    "bytes": ["bytes,a,%C3%A9"],
    "utf8": ["set,a,%C3%A9"],
    "value_space": ["set,a,b%20c"],
    "value_control": ["set,a,b%01"],
    "value_semicolon": ["set,a,b%3Bc"],
    "value_quote": ["set,a,b%22c"],
    "name_space": ["set,a%20b,c"],
    "name_bad": ["set,a%3D,c"],
    "name_empty": ["set,,c"],
    "name_reserved": ["set,expires,c"],
    "header": ["set,a,b", "header,x,y", "header,z,w"],
    "error": ["set,a,b", "header,x,y", "error"],
}.items():
    add("set_cookie_" + name, get("/cookies?" + "&".join("do=" + s for s in steps), "Cookie: a=1; b=2"), modes="w")
add("set_cookie_304", get("/cookies?do=set,a,b", "If-None-Match: *"))
add("set_cookie_head", head("/cookies?do=set,a,b"))
GOOD = "2|1:0|10:1700000000|1:a|8:dmFsdWU=|"
add("signed_bad", get("/cookies?do=read,a", "Cookie: a=" + GOOD + "0" * 64))
add("signed_garbage", get("/cookies?do=read,a", "Cookie: a=garbage"))
add("signed_v1_bad", get("/cookies?do=read,a", "Cookie: a=dmFsdWU=|1700000000|" + "0" * 40))

# XSRF. The token is the same in two versions.
TOKEN1 = "00112233445566778899aabbccddeeff"
TOKEN2 = "2|00000000|00112233445566778899aabbccddeeff|1700000000"
MASKED = "2|01010101|01102332455467768998abbacddcefee|1700000000"
xsrf = {"server": "xsrf", "modes": LEVELS}
add("xsrf_get", get("/form"), **xsrf)
add("xsrf_get_with_cookie", get("/form", "Cookie: _xsrf=" + TOKEN2), **xsrf)
add("xsrf_token", get("/token"), **xsrf)
for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
    add("xsrf_none_" + method.lower(), post("/form", b"", method=method), **xsrf)
for name, (cookie, argument) in {
    "good_1": (TOKEN1, TOKEN1),
    "good_2": (TOKEN2, TOKEN2),
    "good_masked": (TOKEN2, MASKED),
    "good_cross": (TOKEN1, MASKED),
    "no_cookie": (None, TOKEN2),
    "no_argument": (TOKEN2, None),
    "different": (TOKEN2, "ff" * 16),
    "bad_format": (TOKEN2, "2|x|y"),
    "bad_version": (TOKEN2, "9|x|y|z"),
    "bad_cookie": ("2|bad", TOKEN2),
    "empty": (TOKEN2, ""),
    "spaces": (TOKEN2, "%20" + TOKEN1 + "%20"),
    "text": ("text", "text"),
    "non_ascii": (TOKEN2, "%C3%A9"),
}.items():
    lines = ["Cookie: _xsrf=" + cookie] if cookie else []
    body = b"_xsrf=" + argument.encode() if argument is not None else b"a=b"
    add("xsrf_form_" + name, form("/form", body, *lines), **xsrf)
    if argument and "%" not in argument:
        add("xsrf_header_" + name, post("/form", b"", *lines, "X-XSRFToken: " + argument), **xsrf)
        add("xsrf_csrf_header_" + name, post("/form", b"", *lines, "X-CSRFToken: " + argument), **xsrf)
        add("xsrf_query_" + name, post("/form?_xsrf=" + argument, b"", *lines), **xsrf)
add("xsrf_404", post("/nosuch", b""), **xsrf)
add("xsrf_stream", post("/stream", b"abc"), ("settle",), get("/form"), **xsrf)
for name, lines in {
    "none": [],
    "same": ["Sec-Fetch-Site: same-origin"],
    "direct": ["Sec-Fetch-Site: none"],
    "cross": ["Sec-Fetch-Site: cross-site"],
    "cross_origin": ["Sec-Fetch-Site: cross-site", "Origin: https://evil.test"],
    "cross_trusted": ["Sec-Fetch-Site: cross-site", "Origin: https://trusted.test"],
    "same_site": ["Sec-Fetch-Site: same-site"],
    "origin_same": ["Origin: http://h.test"],
    "origin_other": ["Origin: http://evil.test"],
    "origin_trusted": ["Origin: https://trusted.test"],
    "origin_null": ["Origin: null"],
}.items():
    add("cross_origin_post_" + name, post("/form", b"", *lines), server="cross_origin", modes=LEVELS)
    add("cross_origin_get_" + name, get("/form", *lines), server="cross_origin", modes="w")
# Answered before the body, of whose framing the log tells all the same.
for name, line in {
    "length": "Content-Length: x",
    "coding": "Transfer-Encoding: x",
    "too_long": "Content-Length: 999999999",
}.items():
    add("echo_early_bad_" + name, get("/echo/early", line, method="POST"))
