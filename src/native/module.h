/* The extension module: its state and what every type of it needs.
 *
 * There is no static mutable data: the state holds the types, the interned names, and the Python objects that tornadoc's Python
 * half hands over with _native.bind(). Objects keep a pointer to it (borrowed: a type keeps its module alive). */
#ifndef NATIVE_MODULE_H
#define NATIVE_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <structmember.h>
#include <time.h>

#include "names.h"

struct guard;
struct handle_state;

/* Each type's file ends in NAME_setup_types(). One line per type. */
/* clang-format off */
#define NATIVE_TYPES(X) \
    X(headers) \
    X(request) \
    X(exchange) /* one request and its answer: HTTP1Connection */ \
    X(server_connection) /* one accepted socket: HTTP1ServerConnection */ \
    X(server) \
    X(listener) \
    X(engine) \
    X(handle) \
    X(timer_handle) \
    X(loop) \
    X(io_loop) \
    X(application) \
    X(handler) \
    X(argument_method) /* RequestHandler.get_argument and its kin */ \
    X(stream_buffer) \
    X(stream) \
    X(transport) /* a stream socket of an event loop */ \
    X(socket_watch) \
    X(socket_operation) /* a coroutine of sock_recv() and its kin */ \
    X(loop_sock) /* the methods that make them */ \
    /* end */

/* What is counted since the start of the process: _native.tally(). One line per count. */
#define NATIVE_COUNTS(X) \
    X(loops) \
    X(streams) /* IOStreams that came to an engine */ \
    X(connections) /* that servers have accepted */ \
    X(handled) /* requests whose handler ran in the native frame */ \
    X(executed) /* requests whose handler's _execute ran in a Task */ \
    X(delegated) /* requests that went to a delegate */ \
    /* end */
/* clang-format on */

enum native_count {
#define X(name) COUNT_##name,
    NATIVE_COUNTS(X)
#undef X
        COUNT_COUNT
};

#define NATIVE_JSON_DICTS 5

/* An access logger that wanted no record, and the versions of what decided that (access_log.c). */
struct native_silence {
    uint64_t globals_version; /* of tornado.web's globals, where the logger is */
    uint64_t attributes_version;
    uint64_t cache_version;
    PyObject *logger; /* borrowed, and valid while the globals are as they were */
    PyObject *cache;  /* borrowed: its _cache; the same of its attributes */
    long level;       /* 0: nothing is known */
};

struct native_state {
#define X(name) PyTypeObject *name##_type; /* owned */
    NATIVE_TYPES(X)
#undef X

    PyObject *names[NAME_COUNT];  /* interned, owned; indexed by enum native_name */
    PyObject *texts[TEXT_COUNT];  /* the same, by enum native_text */
    PyObject *bound[BOUND_COUNT]; /* owned or NULL; indexed by enum native_bound, set by _native.bind() */
    PyObject *normal_names;       /* dict: header name as written -> interned Http-Header-Case name; bounded (headers.c) */
    uint64_t json_versions[NATIVE_JSON_DICTS]; /* of the dicts behind json_encode() when they were last found stock */
    PyObject *json_encoder;                    /* owned; NULL: not made yet, or in use (json_text.c) */
    unsigned int json_class_tag; /* version tag of JSONEncoder when it was last found stock (json_text.c); 0: never */
    struct native_silence silence;
    unsigned int logger_tag;        /* that of a class of loggers that was found stock last (access_log.c); 0: never */
    unsigned int plain_headers_tag; /* that of HTTPHeaders when it was last found native (headers.c); 0: never */
    PyObject *default_headers;      /* owned dict: a fresh answer's headers of the second default_second (handler.c) */
    time_t default_second;
    PyObject *key_of_ok;          /* owned: of 200 in httputil.responses (handler.c); NULL: not looked for, or not found */
    unsigned long route_epoch;    /* moves when a rule, a matcher or a router changes (application.c) */
    PyObject *loop_keyword;       /* owned: ("loop",), for calls with that keyword */
    PyObject *exit_exception;     /* owned: what must leave the loop at the end of the engine's call (errors.c) */
    PyObject *stack_run;          /* owned: calls a callback of IOLoop in its stack contexts; NULL until there are any */
    PyObject *stack_spawn;        /* owned: IOLoop.spawn_callback() then */
    PyObject *stack_wrap;         /* owned: wraps what is stored to be called */
    struct guard *guards;         /* owned array, one for each enum guard_set (guard.h) */
    struct handle_state *handles; /* owned (handle.h) */
    unsigned long long counts[COUNT_COUNT];
};

extern struct PyModuleDef native_module;

/* The state of the module that defines `type` or a base of it; NULL with TypeError when there is none. */
struct native_state *native_state_of(PyTypeObject *type);

#define NAME(state, name) ((state)->names[NAME_##name])
#define TEXT(state, name) ((state)->texts[TEXT_##name])
#define BOUND(state, name) ((state)->bound[BOUND_##name])
#define COUNTED(state, name) ((state)->counts[COUNT_##name]++)

/* Creates a file's types, stores them in the state and adds them to the module. 0 or -1. */
#define X(name) int name##_setup_types(PyObject *module, struct native_state *state);
NATIVE_TYPES(X)
#undef X

/* An object of the type; of an abstract class, the TypeError that object.__new__() has for it. */
PyObject *native_alloc(PyTypeObject *type);
/* tp_new of types whose objects only the native code makes: TypeError. */
PyObject *native_no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);

/* Puts `made` (a new reference, or NULL with an exception) into a slot that was empty before it was made. Making an object may
 * run the collector, and with it code that fills the slot: what is there stays. Borrowed, or NULL. */
static inline PyObject *native_fill(PyObject **slot, PyObject *made)
{
    if (made == NULL) {
        return NULL;
    }
    if (*slot == NULL) {
        *slot = made;
    }
    else {
        Py_DECREF(made);
    }
    return *slot;
}

/* Makes a heap type from a spec, stores it in *slot and adds it to the module under its last dotted name. 0 or -1. */
int native_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **slot);
/* Adds methods that another file than the type's has. 0 or -1. */
int native_add_methods(PyTypeObject *type, PyMethodDef *methods);

#endif
