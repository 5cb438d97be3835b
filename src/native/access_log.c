/* See access_log.h. */
#include "access_log.h"

#include "application.h"
#include "guard.h"

/* logging's levels */
#define LEVEL_INFO 20
#define LEVEL_WARNING 30
#define LEVEL_ERROR 40

/* The dict of a logging.Logger's attributes, borrowed; NULL for any other logger. */
static PyObject *attributes_of(struct native_state *state, PyObject *logger)
{
    PyObject **slot = (PyObject *)Py_TYPE(logger) == BOUND(state, Logger) ? _PyObject_GetDictPtr(logger) : NULL;
    return slot ? *slot : NULL;
}

/* Was the logger silent at this level, and is everything as it was then? */
static bool is_known_silent(struct native_state *state, long level)
{
    struct native_silence *known = &state->silence;
    if (known->level != level || guard_dict_version(BOUND(state, web_globals)) != known->globals_version) {
        return false;
    }
    /* So the logger is still there, and its _cache, if its attributes are what they were. */
    PyObject *attributes = attributes_of(state, known->logger);
    return attributes != NULL && guard_dict_version(attributes) == known->attributes_version &&
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

/* logger.isEnabledFor(level), looking first where logging.Logger itself keeps the answer. 1, 0, or -1. */
static int is_enabled(struct native_state *state, PyObject *logger, long level)
{
    PyObject *number = PyLong_FromLong(level);
    if (number == NULL) {
        return -1;
    }
    PyObject *dict = attributes_of(state, logger);
    PyObject *cached = NULL;
    PyObject *cache = NULL;
    if (dict != NULL && PyDict_GetItemWithError(dict, NAME(state, disabled)) == Py_False) {
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
    Py_INCREF(logger);
    PyObject *result = NULL;
    int done = is_enabled(state, logger, level);
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
