/* May this object take the fast path?
 *
 * A class is compared, name by name, with what tornadoc and Tornado define; the answer is kept under the type's version tag,
 * which CPython changes whenever the class or a base of it is modified. So an override, a wrapper or a monkeypatch - on the
 * user's class, on tornadoc's, or on Tornado's behind it - is seen by the next request, for the price of one comparison. */
#ifndef NATIVE_GUARD_H
#define NATIVE_GUARD_H

#include "module.h"

#include <stdbool.h>
#include <stdint.h>

#define GUARD_MAX_HOOKS 32

/* A set of method names that the fast path takes for granted; bit i of a mask stands for names[i]. */
/* clang-format off */
#define HANDLER_HOOKS(X)                                                                                                        \
    X(__init__) X(initialize) X(clear) X(set_default_headers) X(prepare) X(on_finish) X(on_connection_close) X(set_status)      \
    X(set_header) X(clear_header) X(write) X(flush) X(finish) X(_log) X(compute_etag) X(set_etag_header) X(check_etag_header)   \
    X(_should_not_send_content) X(_clear_representation_headers) X(_break_cycles) X(_execute) X(_cross_origin_protection)       \
    X(decode_argument) X(SUPPORTED_METHODS) X(_convert_header_value) X(check_xsrf_cookie) X(get_status) X(add_header)        \
    X(_request_summary) X(_get_argument) X(_get_arguments)
/* clang-format on */

enum handler_hook {
#define X(name) HOOK_##name,
    HANDLER_HOOKS(X)
#undef X
        HANDLER_HOOK_COUNT,
    /* Tornado's __init__ calls super().__init__(): a class behind it in the MRO has one of its own. */
    HOOK_cooperative_init = HANDLER_HOOK_COUNT
};

#define HOOK(name) (UINT64_C(1) << HOOK_##name)
/* Tornado's own definition was replaced, so that a native method of the name must step back. */
#define HOOK_BEHIND(name) (UINT64_C(1) << (HOOK_##name + GUARD_MAX_HOOKS))

#define APPLICATION_HOOKS(X) X(start_request) X(find_handler) X(get_handler_delegate) X(__call__) X(log_request)

enum application_hook {
#define X(name) APP_HOOK_##name,
    APPLICATION_HOOKS(X)
#undef X
        APPLICATION_HOOK_COUNT
};

#define APP_HOOK(name) (UINT64_C(1) << APP_HOOK_##name)

#define SERVER_HOOKS(X) X(handle_stream) X(_handle_connection) X(start_request) X(on_close)

enum server_hook {
#define X(name) SERVER_HOOK_##name,
    SERVER_HOOKS(X)
#undef X
        SERVER_HOOK_COUNT
};

#define SERVER_HOOK(name) (UINT64_C(1) << SERVER_HOOK_##name)

#define EXCHANGE_HOOKS(X) X(write_headers) X(write) X(finish) X(set_close_callback)

enum exchange_hook {
#define X(name) EXCHANGE_HOOK_##name,
    EXCHANGE_HOOKS(X)
#undef X
        EXCHANGE_HOOK_COUNT
};

#define LOOP_HOOKS(X)                                                                                                            \
    X(time)                                                                                                                      \
    X(call_soon)                                                                                                                 \
    X(call_soon_threadsafe)                                                                                                      \
    X(call_at) X(_add_reader) X(_add_writer) X(_remove_reader) X(_remove_writer) X(create_task) X(create_future)

enum loop_hook {
#define X(name) LOOP_HOOK_##name,
    LOOP_HOOKS(X)
#undef X
        LOOP_HOOK_COUNT
};

#define LOOP_HOOK(name) (UINT64_C(1) << LOOP_HOOK_##name)
#define LOOP_BEHIND(name) (UINT64_C(1) << (LOOP_HOOK_##name + GUARD_MAX_HOOKS))

#define IO_LOOP_HOOKS(X) X(_run_callback) X(add_callback) X(call_at) X(time) X(split_fd)

enum io_loop_hook {
#define X(name) IO_LOOP_HOOK_##name,
    IO_LOOP_HOOKS(X)
#undef X
        IO_LOOP_HOOK_COUNT
};

#define IO_LOOP_HOOK(name) (UINT64_C(1) << IO_LOOP_HOOK_##name)
#define IO_LOOP_BEHIND(name) (UINT64_C(1) << (IO_LOOP_HOOK_##name + GUARD_MAX_HOOKS))

/* What Tornado's stream methods call on self. */
/* clang-format off */
#define STREAM_HOOKS(X)                                                                                                         \
    X(fileno) X(close_fd) X(write_to_fd) X(read_from_fd) X(get_fd_error) X(close) X(closed) X(reading) X(writing)               \
    X(_signal_closed) X(_handle_connect) X(_handle_events) X(_read_to_buffer_loop) X(_handle_read) X(_start_read)               \
    X(_finish_read) X(_try_inline_read) X(_read_to_buffer) X(_read_from_buffer) X(_find_read_pos) X(_check_max_bytes)           \
    X(_handle_write) X(_consume) X(_check_closed) X(_maybe_add_error_listener) X(_add_io_state) X(_is_connreset)
#define SSL_STREAM_HOOKS(X) STREAM_HOOKS(X) X(_do_ssl_handshake) X(_finish_ssl_connect)
#define SOCKET_HOOKS(X) X(recv_into) X(send) X(fileno)
/* What the protocol of WebSockets does in place of Tornado's methods. */
#define WEBSOCKET_HOOKS(X) X(_receive_frame) X(_read_bytes) X(_handle_message) X(_write_frame) X(write_message)
/* clang-format on */

enum guard_set {
    GUARD_HANDLER,
    GUARD_APPLICATION,
    GUARD_SERVER,
    GUARD_EXCHANGE,
    GUARD_IOSTREAM,
    GUARD_SSL_IOSTREAM,
    GUARD_PIPE_IOSTREAM,
    GUARD_SOCKET,
    GUARD_LOOP,
    GUARD_IO_LOOP,
    GUARD_WEBSOCKET,
    GUARD_SET_COUNT
};

#define GUARD_CACHE 256 /* classes remembered in each set; a power of two */

struct guard {
    PyTypeObject *base;                   /* owned: tornadoc's class, whose definitions are the expected ones */
    PyTypeObject *original;               /* owned: Tornado's class behind it */
    PyObject *expected[GUARD_MAX_HOOKS];  /* owned: what lookup on base finds */
    PyObject *originals[GUARD_MAX_HOOKS]; /* owned: Tornado's own definition, NULL: it has none, or it was patched before */
    PyObject *index;                      /* owned dict: hook name -> its number, for instance dicts */
    PyObject *attributes;                 /* owned dict: attribute that objects have in C -> its descriptor */
    struct {
        PyTypeObject *type; /* compared only together with the tag, which is never used twice */
        unsigned int tag;
        uint64_t mask;
    } cache[GUARD_CACHE];
};

/* Sets a guard up: originals is a dict of Tornado's definitions by name, without those that somebody has replaced. 0 or -1. */
int guard_bind(struct native_state *state, enum guard_set set, PyTypeObject *base, PyTypeObject *original, PyObject *originals);
void guard_clear(struct native_state *state);
int guard_traverse(struct native_state *state, visitproc visit, void *arg);

/* The version tag of a class, which changes with every modification of it or of a base; 0 if it has none now. */
static inline unsigned int guard_version_tag(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030d0000
    return type->tp_version_tag;
#else
    return PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG) ? type->tp_version_tag : 0;
#endif
}

/* A number that no other dict, and no other state of this one, has (PEP 509). 0: CPython 3.12 and later have none. */
static inline uint64_t guard_dict_version(PyObject *dict)
{
#if PY_VERSION_HEX < 0x030c0000
    return ((PyDictObject *)dict)->ma_version_tag;
#else
    (void)dict;
    return 0;
#endif
}

/* Do names in namespaces still stand for what they did? names is a tuple of (dict, name, object) each. */
bool guard_names_hold(PyObject *names);

static inline size_t guard_place(PyTypeObject *type)
{
    return ((uintptr_t)type >> 5) & (GUARD_CACHE - 1);
}

/* guard_type_mask() of a class that is not in the cache. */
uint64_t guard_find_mask(struct native_state *state, enum guard_set set, PyTypeObject *type);

/* The hooks that the class changes. Never fails: what can't be found out counts as changed. A class that hides an attribute that
 * its objects have in C, as a class attribute with a default does, has them in Python: then all hooks count as changed. */
static inline uint64_t guard_type_mask(struct native_state *state, enum guard_set set, PyTypeObject *type)
{
    struct guard *guard = &state->guards[set];
    unsigned int tag = guard_version_tag(type);
    size_t place = guard_place(type);
    if (tag != 0 && guard->cache[place].type == type && guard->cache[place].tag == tag) {
        return guard->cache[place].mask;
    }
    return guard_find_mask(state, set, type);
}

/* Does the class hide such an attribute? *name: which one, borrowed, may be NULL. */
bool guard_hides(struct native_state *state, enum guard_set set, PyTypeObject *type, PyObject **name);
/* The bit of a hook of this name; 0 if there is none. */
uint64_t guard_hook_of(struct native_state *state, enum guard_set set, PyObject *name);
/* The hooks that an instance dict (may be NULL) shadows. */
uint64_t guard_dict_mask(struct native_state *state, enum guard_set set, PyObject *dict);

#endif
