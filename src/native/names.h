/* Interned attribute and method names, and the Python objects that the Python half binds at import. */
#ifndef NATIVE_NAMES_H
#define NATIVE_NAMES_H

/* X(identifier) where the Python name is the identifier itself. */
/* clang-format off */
#define NATIVE_NAMES(X) \
    X(__call__) \
    X(__init__) \
    X(_apply_xheaders) \
    X(_break_cycles) \
    X(_cache) \
    X(_clear_representation_headers) \
    X(_closed_by_connection) \
    X(_DEFAULT_PARSE_BODY_CONFIG) \
    X(urlencoded) \
    X(max_arguments) \
    X(_connection) \
    X(_connections) \
    X(_convert_header_value) \
    X(_cross_origin_protection) \
    X(_execute) \
    X(_get_argument) \
    X(_get_arguments) \
    X(_handle_connection) \
    X(_handle_request_exception) \
    X(_log) \
    X(_new_cookie) \
    X(_parse_body) \
    X(_remove_control_chars_regex) \
    X(_should_not_send_content) \
    X(_stream_request_body) \
    X(_unapply_xheaders) \
    X(add) \
    X(add_header) \
    X(application) \
    X(body_timeout) \
    X(check_etag_header) \
    X(check_xsrf_cookie) \
    X(chunk_size) \
    X(clear) \
    X(clear_header) \
    X(close) \
    X(compiled_template_cache) \
    X(compute_etag) \
    X(conn_params) \
    X(connection) \
    X(cross_origin_protection) \
    X(data_received) \
    X(decode_argument) \
    X(decompress) \
    X(default) \
    X(delete) \
    X(digest) \
    X(disabled) \
    X(done) \
    X(exception) \
    X(find_handler) \
    X(finish) \
    X(flush) \
    X(get) \
    X(get_handler_delegate) \
    X(get_list) \
    X(get_status) \
    X(groupdict) \
    X(groups) \
    X(handle_stream) \
    X(head) \
    X(header_timeout) \
    X(headers_received) \
    X(info) \
    X(initialize) \
    X(isEnabledFor) \
    X(items) \
    X(json_encode) \
    X(log_function) \
    X(log_request) \
    X(match) \
    X(max_body_size) \
    X(max_buffer_size) \
    X(max_header_size) \
    X(name) \
    X(no_keep_alive) \
    X(on_close) \
    X(on_connection_close) \
    X(on_finish) \
    X(options) \
    X(patch) \
    X(parse_body_arguments) \
    X(path_args) \
    X(path_kwargs) \
    X(post) \
    X(prepare) \
    X(protocol) \
    X(put) \
    X(remote_ip) \
    X(request) \
    X(request_callback) \
    X(result) \
    X(set_close_callback) \
    X(set_default_headers) \
    X(set_etag_header) \
    X(set_exception) \
    X(set_header) \
    X(set_result) \
    X(set_status) \
    X(ssl_options) \
    X(start_request) \
    X(strip) \
    X(static_hash_cache) \
    X(SUPPORTED_METHODS) \
    X(update) \
    X(utf8) \
    X(warning) \
    X(write) \
    X(write_headers) \
    X(xheaders) \
    X(xsrf_cookies) \
    X(_add_io_state) \
    X(_consume) \
    X(_check_closed) \
    X(_check_max_bytes) \
    X(_receive_frame) \
    X(_read_bytes) \
    X(_handle_message) \
    X(_write_frame) \
    X(write_message) \
    X(stream) \
    X(params) \
    X(max_message_size) \
    X(_decompressor) \
    X(_fragmented_message_buffer) \
    X(_do_ssl_handshake) \
    X(_find_read_pos) \
    X(_finish_read) \
    X(_finish_ssl_connect) \
    X(_handle_connect) \
    X(_handle_events) \
    X(_handle_read) \
    X(_handle_write) \
    X(_is_connreset) \
    X(_maybe_add_error_listener) \
    X(_read_from_buffer) \
    X(_read_to_buffer) \
    X(_read_to_buffer_loop) \
    X(_signal_closed) \
    X(_sslobj) \
    X(_start_read) \
    X(_try_inline_read) \
    X(add_callback) \
    X(add_done_callback) \
    X(append) \
    X(cancelled) \
    X(close_fd) \
    X(closed) \
    X(end) \
    X(error) \
    X(fileno) \
    X(get_fd_error) \
    X(read) \
    X(read_bytes) \
    X(read_from_fd) \
    X(read_into) \
    X(read_until) \
    X(read_until_close) \
    X(read_until_regex) \
    X(reading) \
    X(recv_into) \
    X(search) \
    X(send) \
    X(write_to_fd) \
    X(writing) \
    X(_asyncio_future_blocking) \
    X(_call_connection_lost) \
    X(_debug) \
    X(_ensure_fd_no_transport) \
    X(_fatal_error) \
    X(_maybe_pause_protocol) \
    X(_maybe_resume_protocol) \
    X(_socket_engine) \
    X(__name__) \
    X(accept) \
    X(buffer_updated) \
    X(call_soon) \
    X(create_future) \
    X(eof_received) \
    X(get_buffer) \
    X(get_debug) \
    X(gettimeout) \
    X(recv) \
    X(set_protocol) \
    X(setblocking) \
    X(sock_accept) \
    X(sock_recv) \
    X(sock_recv_into) \
    X(sock_sendall) \
    X(_ready) \
    X(_poll) \
    X(_check_callback) \
    X(_check_thread) \
    X(_run) \
    X(_cancelled) \
    X(callback) \
    X(cancel) \
    X(context) \
    X(delay) \
    X(slow_callback_duration) \
    X(when) \
    X(call_at) \
    X(call_later) \
    X(call_soon_threadsafe) \
    X(_handshake_done) \
    X(do_handshake) \
    X(pending) \
    X(shutdown) \
    X(sni_callback) \
    X(time) \
    X(_add_reader) \
    X(_add_writer) \
    X(_remove_reader) \
    X(_remove_writer) \
    X(_run_callback) \
    X(_run_call) \
    X(spawn_callback) \
    X(add_timeout) \
    X(split_fd) \
    X(add_reader) \
    X(add_writer) \
    X(remove_reader) \
    X(remove_writer) \
    X(add_handler) \
    X(update_handler) \
    X(remove_handler) \
    X(remove_timeout) \
    X(_transports) \
    X(data) \
    X(loop) \
    X(create_task) \
    X(Task) \
    X(Future) \
    X(settings) \
    X(io_loop) \
    X(transforms) \
    X(_request_summary) \
    X(access_log) \
    /* end */
/* clang-format on */

enum native_name {
#define X(name) NAME_##name,
    NATIVE_NAMES(X)
#undef X
        NAME_COUNT
};

/* X(identifier, text): interned header names, in Http-Header-Case, and other words that are no identifiers. */
/* clang-format off */
#define NATIVE_TEXTS(X) \
    X(server, "Server") \
    X(content_type, "Content-Type") \
    X(date, "Date") \
    X(etag, "Etag") \
    X(content_length, "Content-Length") \
    X(connection, "Connection") \
    X(close, "close") \
    X(keep_alive, "Keep-Alive") \
    X(end_of_tag, "</") \
    X(escaped_end_of_tag, "<\\/") \
    X(html, "text/html; charset=UTF-8") \
    X(json, "application/json; charset=UTF-8") \
    X(nothing, "") \
    X(content_encoding, "Content-Encoding") \
    X(if_none_match, "If-None-Match") \
    X(content_language, "Content-Language") \
    X(transfer_encoding, "Transfer-Encoding") \
    X(chunked, "chunked") \
    /* end */
/* clang-format on */

enum native_text {
#define X(name, text) TEXT_##name,
    NATIVE_TEXTS(X)
#undef X
        TEXT_COUNT
};

/* What tornadoc/_bind.py hands over; see there for what each one is. */
/* clang-format off */
#define NATIVE_BOUND(X) \
    X(adopt) \
    X(app_log) \
    X(CancelledError) \
    X(compile_routes) \
    X(create_task_function) \
    X(create_task_code) \
    X(default_route) \
    X(escape) \
    X(Future) \
    X(gen_log) \
    X(gzip_delegate) \
    X(hand_over) \
    X(HTTP1Connection) \
    X(HTTP1ServerConnection) \
    X(HTTPError) \
    X(HTTPHeaders) \
    X(HTTPInputError) \
    X(HTTPOutputError) \
    X(HTTPServerRequest) \
    X(httputil) \
    X(log_callback) \
    X(log_exception) \
    X(log_message) \
    X(make_context) \
    X(make_stream) \
    X(make_ui) \
    X(parse_query) \
    X(query_functions) \
    X(control_characters) \
    X(report_uncaught) \
    X(RequestStartLine) \
    X(reset_caches) \
    X(responses) \
    X(ResponseStartLine) \
    X(route_classes) \
    X(run_delegate) \
    X(delegate_task) \
    X(enter_task) \
    X(leave_task) \
    X(run_general) \
    X(server_version) \
    X(sha1) \
    X(sha1_of_block) \
    X(split_host) \
    X(start_task) \
    X(StreamClosedError) \
    X(tornado_HTTPHeaders) \
    X(tornado_RequestHandler) \
    X(deque) \
    X(exc_info) \
    X(FileIO) \
    X(IOLoop) \
    X(IOStream) \
    X(PipeIOStream) \
    X(re_compile) \
    X(socket) \
    X(SSLEOFError) \
    X(SSLIOStream) \
    X(SSLSocket) \
    X(SSLWantReadError) \
    X(SSLWantWriteError) \
    X(ssl_recv_into) \
    X(ssl_send) \
    X(StreamBufferFullError) \
    X(stream_engine) \
    X(stream_legacy) \
    X(stream_log) \
    X(stream_silence) \
    X(tornado_BaseIOStream) \
    X(tornado_IOStream) \
    X(tornado_PipeIOStream) \
    X(tornado_SSLIOStream) \
    X(UnsatisfiableReadError) \
    X(BufferedProtocol) \
    X(engine_of) \
    X(log_transport) \
    X(SelectorEventLoop) \
    X(warn_lost_write) \
    X(poll_socket) \
    X(socket_recv) \
    X(socket_recv_into) \
    X(socket_send) \
    X(extract_stack) \
    X(report_callback) \
    X(report_slow) \
    X(SSLError) \
    X(SSLZeroReturnError) \
    X(tls_adopt) \
    X(tls_context) \
    X(tls_stream) \
    X(tls_wrap) \
    X(accepted_socket) \
    X(get_running_loop) \
    X(let_go) \
    X(partial) \
    X(raise_error) \
    X(log_io_loop) \
    X(watch_result) \
    X(time) \
    X(WeakValueDictionary) \
    X(futures) \
    X(loop_keyword) \
    X(tasks) \
    X(parse_body) \
    X(parse_body_arguments) \
    X(write_with_callback) \
    X(flush_transformed) \
    X(web_globals) \
    X(write_access_line) \
    X(json_parts) \
    X(logger_methods) \
    X(logger_size) \
    /* end */
/* clang-format on */

enum native_bound {
#define X(name) BOUND_##name,
    NATIVE_BOUND(X)
#undef X
        BOUND_COUNT
};

#endif
