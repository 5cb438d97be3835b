"""The handler's life: prepare, methods, errors, hooks, streaming bodies."""

from casebook.case import Book, chunked, form, get, head, post

book = Book()
add = book.add
NEXT = get("/dump/next")
MODES = "wr"

# The life.
for mode in ("", "finish", "raise", "http", "redirect", "status", "error", "bad", "quick"):
    for path in ("/prepare", "/prepare-async"):
        name = path[1:].replace("-", "_") + ("_" + mode if mode else "")
        add(name, get(path + "?mode=" + mode) + NEXT, modes=MODES)
        add(name + "_post", post(path + "?mode=" + mode, b"abc") + NEXT, modes=MODES)
        add(name + "_head", head(path + "?mode=" + mode) + NEXT, modes="w")
add("prepare_coroutine", get("/prepare-coroutine") + NEXT)
for kind in (
    "quick", "slow", "moments", "coroutine", "returns_value", "returns_list", "returns_future", "returns_failed_future",
    "returns_something", "cancelled", "awaits_cancelled", "cancels_itself", "times_out", "task", "finishes_later",
):  # fmt: skip
    add("methods_" + kind, get("/methods/" + kind) + NEXT, modes=MODES)
# Nothing but the answer tells when the thread is done.
add("methods_executor", get("/methods/executor") + NEXT, ("expect", b"uri='/dump/next'"), modes=MODES)
add("sync_finish_later", get("/sync") + NEXT)
add("initialized", get("/initialized") + get("/initialized/kwargs") + get("/initialized/kwargs/x%20y"))
add("initialized_405", post("/initialized", b"abc") + NEXT)
add("bad_init", get("/bad-init") + NEXT)
add("bad_init_post", post("/bad-init", b"abc") + NEXT)
for query in ("", "?x", "?http"):
    add("bad_constructor" + query.replace("?", "_"), get("/bad-constructor" + query) + NEXT)
RAISES = (
    "value", "after_write", "after_flush", "http", "logged", "percent", "reason", "bad_reason", "markup", "unknown",
    "no_content", "not_modified", "finish_exception", "finish_chunk", "finish_after", "error_after_finish", "http_after_finish",
    "missing", "generator_exit", "chained", "write_list", "write_int", "write_none", "surrogate", "not_json",
)  # fmt: skip
for kind in RAISES:
    add("raises_" + kind, get("/raises/" + kind) + NEXT, modes=MODES)
    add("raises_%s_post" % kind, form("/raises/" + kind, b"a=\xff") + NEXT, modes="w")
    add("raises_%s_head" % kind, head("/raises/" + kind) + NEXT, modes="w")
    add("raises_%s_10" % kind, get("/raises/" + kind, version="1.0"), modes="w")
    for server in ("traceback", "logged", "overriding", "gzip", "transforms"):
        lines = ["Accept-Encoding: gzip"] if server == "gzip" else []
        add("raises_%s_%s" % (kind, server), get("/raises/" + kind, *lines), server=server, modes="w", inflate=server == "gzip")
for mode in ("", "raise", "nothing", "json", "flush"):
    for code in ("418", "204", "304", "500", "404", "100"):
        add("custom_error_%s_%s" % (mode or "plain", code), get("/custom-error?mode=%s&code=%s" % (mode, code)) + NEXT, modes="w")
add("custom_error_head", head("/custom-error") + NEXT)
add("traceback_no_such_method", get("/raises/http", method="QUERY"), server="traceback")
add(
    "traceback_bad_form",
    post("/raises/http", b"--XX\r\nbroken", "Content-Type: multipart/form-data; boundary=XX"),
    server="traceback",
)
add("custom_error_traceback", get("/custom-error?code=500"), server="traceback")
add("custom_log", get("/custom-log") + get("/custom-log?mode=raise") + NEXT)
add("finish_raises", get("/finish-raises") + NEXT)
add("finish_raises_async", post("/finish-raises", b"x") + NEXT)
add("async_finish", get("/async-finish") + NEXT)
add("stack_of_errors", get("/stack-of-errors"), ("settle",), ("close",), ("settle",))
add("send_error_overridden", get("/send-error-overridden") + post("/send-error-overridden", b"x") + NEXT)
add("logged_dump", get("/dump") + get("/nosuch") + head("/dump"), server="logged")
add("overriding_dump", get("/dump") + get("/nosuch") + post("/dump", b"abc"), server="overriding")
add("context", get("/context?n=1") + get("/context?n=2") + post("/context?n=3", b"") + get("/context?n=4"))
add("context_bad", get("/context?n=1") + get("/context?n=x") + get("/context?n=2"))
add("connection", get("/connection") + head("/connection"))
add("connection_10", get("/connection", "Connection: keep-alive", version="1.0"))
add("mutate", get("/mutate") + post("/mutate", b"abc") + head("/mutate") + NEXT)
for name, line in {"none": [], "cookie": ["Cookie: user=me"], "empty": ["Cookie: user="]}.items():
    add("user_" + name, get("/user?a=b", *line) + post("/user", b"x", *line) + head("/user", *line))
for path in ("/slashes", "/slashes/", "/slashes?a=b", "/slashes/x", "//slashes", "/no-slash/", "/no-slash", "/no-slash/?a=b"):
    name = path.replace("/", "_").replace("?", "_q_").replace("=", "_")
    add("slash" + name, get(path) + post(path, b"x") + head(path), modes="w")
for value in ("", "en-US,en;q=0.5", "fr;q=x", "*", "de;q=-1,it"):
    add("locale_" + (value or "none"), get("/locale", *(["Accept-Language: " + value] if value else [])), modes="w")

# Hooks.
for which in (
    "none", "write_error", "on_finish", "get", "prepare", "compute_etag", "write", "finish", "flush", "log_exception", "_log",
    "_request_summary", "get_status", "_execute", "supported", "settings",
):  # fmt: skip
    add("instance_" + which, get("/hooks/instance?" + which) + NEXT, modes=MODES)
    add("instance_%s_head" % which, head("/hooks/instance?" + which) + NEXT, modes="w")
for arg in ("x", "raise", "%FF"):
    add("class_hooks_" + arg, get("/hooks/class/" + arg) + NEXT, modes=MODES)
    add("class_hooks_%s_head" % arg, head("/hooks/class/" + arg) + NEXT, modes="w")
    add("class_hooks_%s_post" % arg, post("/hooks/class/" + arg, b"abc") + NEXT, modes="w")
add("class_hooks_304", get("/hooks/class/x", "If-None-Match: *"))
add("execute_future", get("/hooks/execute-future") + NEXT)
add("execute_raises", get("/hooks/execute-raises") + NEXT)
add("wrapped", get("/hooks/wrapped") + post("/hooks/wrapped", b"x") + NEXT)
for what in (
    "headers", "headers_dict_order", "buffer", "buffer_append", "status", "transforms", "finished", "headers_written",
    "no_keep_alive", "disconnect", "class", "dict", "read", "cookie", "user", "unimplemented", "start_time",
):  # fmt: skip
    if what == "disconnect":
        add("poke_" + what, get("/poke/" + what), ("settle",), NEXT)
        continue
    add("poke_" + what, get("/poke/" + what) + NEXT, modes=MODES)
    add("poke_%s_head" % what, head("/poke/" + what) + NEXT, modes="w")
    add("poke_%s_10" % what, get("/poke/" + what, version="1.0"), modes="w")

# Streaming bodies.
for path in ("/stream", "/stream-async"):
    base = path[1:].replace("-", "_")
    for mode in ("", "flush"):
        name = base + ("_" + mode if mode else "")
        add(name, post(path + "?mode=" + mode, b"abcdef") + NEXT)
        add(name + "_chunked", chunked(path + "?mode=" + mode, b"abc", b"def") + NEXT)
        add(name + "_empty", post(path + "?mode=" + mode, b"") + NEXT)
        add(name + "_get", get(path + "?mode=" + mode) + NEXT)
    for mode in ("finish", "data_finish", "error", "raise", "data_raise", "data_http", "data_input_error"):
        # What the client still sends after the early answer may be dropped by a reset.
        name = base + "_" + mode
        add(name, post(path + "?mode=" + mode, b"abcdef"), modes="w")
        add(name + "_chunked", chunked(path + "?mode=" + mode, b"abc", b"def"), modes="w")
        add(name + "_later", get(path + "?mode=" + mode, "Content-Length: 3", method="POST"), ("settle",), b"abc", modes="w")
        add(name + "_empty", post(path + "?mode=" + mode, b""), ("settle",), NEXT)
        add(name + "_get", get(path + "?mode=" + mode), ("settle",), NEXT)
    # What has come with the answered part is looked at; chunk_size and what one read receives decide how much that is.
    for name, tail in {"chunk_end": b"XX", "size": b"\r\nz\r\n", "trailer": b"\r\n0\r\nx\r\n", "end": b"\r\n0\r\n\r\n"}.items():
        for size in (3, 60000, 0x101D0):
            body = b"%x\r\n%s%s" % (size, b"x" * size, tail)
            data = chunked(path + "?mode=data_finish", tail=body)
            for server in ("main", "small_chunk"):
                steps = [("settle",), ("freeze",), data, ("thaw",)]
                add("%s_rest_%s_%d_%s" % (base, name, size, server), *steps, server=server, modes="w")
    add(base + "_put", post(path, b"abc", method="PUT") + NEXT)
    add(base + "_delete", post(path, b"abc", method="DELETE") + NEXT)
    add(base + "_form", form(path, b"a=1&b=2") + NEXT)
    add(base + "_limit_over", get(path + "?limit=5", "Content-Length: 6", method="POST", body=b"abcdef"), modes="w")
    add(base + "_limit_at", post(path + "?limit=6", b"abcdef") + NEXT)
    add(base + "_limit_raised", post(path + "?limit=1000", b"x" * 500) + NEXT, server="small_body")
    add(base + "_limit_once", post(path + "?limit=1000", b"x" * 70) + post("/dump", b"x" * 65), server="small_body")
    add(base + "_limit_chunked", chunked(path + "?limit=5", b"abc", b"def"), modes="w")
    add(base + "_eof", get(path, "Content-Length: 6", method="POST", body=b"abc"), ("settle",), ("eof",))
    add(base + "_eof_at_start", get(path, "Content-Length: 6", method="POST"), ("settle",), ("eof",))
    add(base + "_reset", get(path, "Content-Length: 6", method="POST", body=b"abc"), ("settle",), ("reset",), ("settle",))
    add(base + "_bad_chunk", get(path, "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabcXX"), modes="w")
    add(base + "_bad_size", get(path, "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\nX\r\n"), modes="w")
    add(base + "_bad_length", get(path, "Content-Length: x", method="POST"))
    add(
        base + "_both", get(path, "Content-Length: 3", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabc\r\n0\r\n\r\n")
    )
    add(base + "_large", post(path, b"0123456789" * 30000) + NEXT, modes="w")
    add(base + "_10", post(path, b"abc", version="1.0"))
    add(
        base + "_slow_pieces",
        get(path, "Content-Length: 6", method="POST"),
        ("settle",),
        b"ab",
        ("settle",),
        b"cd",
        ("settle",),
        b"ef",
        ("settle",),
        NEXT,
    )
add("stream_no_method", post("/stream-no-method", b"") + NEXT)
add("stream_no_method_body", post("/stream-no-method", b"abc"), modes="w")
add("stream_404_method", post("/stream", b"abc", method="BREW"), modes="w")
add("limit_in_prepare", post("/limit-in-prepare", b"abcdef") + NEXT)
