/* See access_log.h. */
#include "access_log.h"

#include "application.h"
#include "guard.h"

/* logging's levels */
#define LEVEL_INFO 20
#define LEVEL_WARNING 30
#define LEVEL_ERROR 40

/* What Tornado's log_request() calls on a logger, and what those call first. */
#define METHODS_CALLED(state)                                                                                                    \
    {                                                                                                                            \
        NAME(state, info), NAME(state, warning), NAME(state, error), NAME(state, isEnabledFor)                                   \
    }

/* Does Tornado's log_request() come to logging's own code with loggers of this class? */
static bool is_stock_class(struct native_state *state, PyTypeObject *type)
{
    unsigned int tag = guard_version_tag(type);
    if (tag != 0 && tag == state->logger_tag) {
        return true;
    }
    PyObject *methods[] = METHODS_CALLED(state);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        PyObject *original = PyDict_GetItemWithError(BOUND(state, logger_methods), methods[i]);
        if (original == NULL || _PyType_Lookup(type, methods[i]) != original) {
            return false;
        }
    }
    if (type->tp_getattro != PyObject_GenericGetAttr || _PyType_Lookup(type, NAME(state, disabled)) != NULL ||
        _PyType_Lookup(type, NAME(state, _cache)) != NULL) {
        return false;
    }
    /* The lookups have given it a tag, if there are any left. */
    state->logger_tag = guard_version_tag(type);
    return true;
}

/* The dict of the attributes of a logger that is nothing but a logging.Logger, borrowed; NULL for any other. */
static PyObject *attributes_of(struct native_state *state, PyObject *logger)
{
    PyObject **slot = is_stock_class(state, Py_TYPE(logger)) ? _PyObject_GetDictPtr(logger) : NULL;
    PyObject *dict = slot ? *slot : NULL;
    if (dict == NULL || PyDict_GET_SIZE(dict) == PyLong_AsSsize_t(BOUND(state, logger_size))) {
        return dict;
    }
    /* There is more in it than logging puts there. */
    PyObject *methods[] = METHODS_CALLED(state);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (PyDict_GetItemWithError(dict, methods[i]) != NULL) {
            return NULL;
        }
    }
    return dict;
}

/* Was the logger silent at this level, and is everything as it was then? */
static bool is_known_silent(struct native_state *state, long level)
{
    struct native_silence *known = &state->silence;
    if (known->level != level || guard_dict_version(BOUND(state, web_globals)) != known->globals_version) {
        return false;
    }
    /* So the logger is still there, and its _cache, if its attributes are what they were. */
    PyObject **slot = is_stock_class(state, Py_TYPE(known->logger)) ? _PyObject_GetDictPtr(known->logger) : NULL;
    return slot != NULL && *slot != NULL && guard_dict_version(*slot) == known->attributes_version &&
           guard_dict_version(known->cache) == known->cache_version;
}

static void remember_silence(struct native_state *state, PyObject *logger, PyObject *attributes, PyObject *cache, long level)
{
    struct native_silence now = {
        .globals_version = guard_dict_version(BOUND(state, web_globals)),
        .attributes_version = guard_dict_version(attributes),
        .cache_version = guard_dict_version(cache),
        .logger = logger,
        .cache = cache,
        .level = level,
    };
    if (now.globals_version == 0) {
        now.level = 0;
    }
    state->silence = now;
}

/* isEnabledFor(level) of a logger with these attributes, looking first where logging itself keeps the answer. 1, 0, or -1. */
static int is_enabled(struct native_state *state, PyObject *logger, PyObject *dict, long level)
{
    PyObject *number = PyLong_FromLong(level);
    if (number == NULL) {
        return -1;
    }
    PyObject *cached = NULL;
    PyObject *cache = NULL;
    if (PyDict_GetItemWithError(dict, NAME(state, disabled)) == Py_False) {
        cache = PyDict_GetItemWithError(dict, NAME(state, _cache));
        if (cache != NULL && PyDict_CheckExact(cache)) {
            cached = PyDict_GetItemWithError(cache, number);
        }
    }
    int enabled;
    if (cached == Py_True || cached == Py_False) {
        enabled = cached == Py_True;
        if (!enabled) {
            remember_silence(state, logger, dict, cache, level);
        }
    }
    else {
        PyObject *result = PyObject_CallMethodOneArg(logger, NAME(state, isEnabledFor), number);
        enabled = result ? PyObject_IsTrue(result) : -1;
        Py_XDECREF(result);
    }
    Py_DECREF(number);
    return enabled;
}

/* What Tornado's log_request() would do, without a record. 1: there is nothing left to do; 0: call it; -1. */
static int write_stock_line(HandlerObject *handler, uint64_t mask)
{
    struct native_state *state = handler->state;
    long level = handler->status_code < 400 ? LEVEL_INFO : handler->status_code < 500 ? LEVEL_WARNING : LEVEL_ERROR;
    if (is_known_silent(state, level)) {
        return 1;
    }
    /* A global of Tornado's module: programs put loggers of their own there. */
    PyObject *logger = PyDict_GetItemWithError(BOUND(state, web_globals), NAME(state, access_log));
    if (logger == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *attributes = attributes_of(state, logger);
    if (attributes == NULL) {
        return 0;
    }
    Py_INCREF(logger);
    PyObject *result = NULL;
    int done = is_enabled(state, logger, attributes, level);
    if (done == 0) {
        done = 1;
    }
    else if (done > 0 && (mask & HOOK(_request_summary))) {
        done = 0;
    }
    else if (done > 0) {
        PyObject *number = PyLong_FromLong(level);
        PyObject *args[] = {logger, number, (PyObject *)handler};
        result = number ? PyObject_Vectorcall(BOUND(state, write_access_line), args, 3, NULL) : NULL;
        Py_XDECREF(number);
        done = result ? result == Py_True : -1;
    }
    Py_XDECREF(result);
    Py_DECREF(logger);
    return done;
}

int access_log_request(HandlerObject *handler, uint64_t mask)
{
    struct native_state *state = handler->state;
    /* A class that has the attribute itself would have the mask say so; but the program may look attributes up its own way. */
    PyObject *application = Py_TYPE(handler)->tp_getattro == PyObject_GenericGetAttr && handler->application != NULL
                                ? Py_NewRef(handler->application)
                                : PyObject_GetAttr((PyObject *)handler, NAME(state, application));
    if (application == NULL) {
        return -1;
    }
    if (PyObject_TypeCheck(application, state->application_type) && !(mask & HOOK(get_status)) &&
        !(application_mask((ApplicationObject *)application) & APP_HOOK(log_request)) &&
        application_setting((ApplicationObject *)application, SETTING_log_function) == NULL) {
        int done = write_stock_line(handler, mask);
        if (done != 0) {
            Py_DECREF(application);
            return done > 0 ? 0 : -1;
        }
    }
    PyObject *result = PyObject_CallMethodOneArg(application, NAME(state, log_request), (PyObject *)handler);
    Py_DECREF(application);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}
