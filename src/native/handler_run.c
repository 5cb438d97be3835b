/* See handler.h: from the routed request to the finished answer. Follows RequestHandler._execute. */
#include "handler.h"

#include "application.h"
#include "connection_delegate.h"
#include "convert.h"
#include "errors.h"
#include "guard.h"
#include "request.h"

#include "core/span.h"

/* Where a coroutine that was handed to a task left the frame of the request (tornadoc/_run.py). */
enum { STAGE_PREPARE, STAGE_METHOD };

bool handler_streams_body(struct native_state *state, PyObject *handler_class)
{
    PyObject *value = _PyType_Lookup((PyTypeObject *)handler_class, NAME(state, _stream_request_body));
    return value != NULL && value != Py_False;
}

/* -- exceptions -- */

/* Makes `exception` the one being handled (sys.exc_info()) and gives the previous one for restoring. Steals exception. */
static PyObject *swap_handled(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030b0000
    PyObject *previous = PyErr_GetHandledException();
    PyErr_SetHandledException(exception);
    Py_XDECREF(exception);
    return previous;
#else
    PyObject *type, *value, *traceback;
    PyErr_GetExcInfo(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    if (exception == NULL) {
        PyErr_SetExcInfo(NULL, NULL, NULL);
    }
    else {
        PyErr_SetExcInfo(Py_NewRef((PyObject *)Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
    }
    return value == Py_None ? (Py_DECREF(value), NULL) : value;
#endif
}

/* The exception that is pending, with a traceback even if nothing in Python raised it: pages with serve_traceback show it. */
static PyObject *take_with_traceback(struct native_state *state)
{
    PyObject *exception = errors_take();
    PyObject *traceback = PyException_GetTraceback(exception);
    if (traceback == NULL) {
        PyObject *result = PyObject_CallOneArg(BOUND(state, raise_error), exception);
        Py_XDECREF(result);
        Py_SETREF(exception, errors_take());
    }
    Py_XDECREF(traceback);
    return exception;
}

/* The except clause of _execute. 0, or -1 with an exception that must leave the loop. */
static int handle_exception(HandlerObject *self)
{
    struct native_state *state = self->state;
    if (!PyErr_ExceptionMatches(PyExc_Exception) && !PyErr_ExceptionMatches(BOUND(state, CancelledError))) {
        return errors_report(state, "Exception in callback RequestHandler._execute()");
    }
    PyObject *exception = take_with_traceback(state);
    PyObject *previous = swap_handled(Py_NewRef(exception));
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)self, NAME(state, _handle_request_exception), exception);
    int status = 0;
    if (result == NULL) {
        status = PyErr_ExceptionMatches(PyExc_Exception)
                     ? errors_log_uncaught(state, BOUND(state, app_log), "Exception in exception handler")
                     : errors_report(state, "Exception in callback RequestHandler._execute()");
    }
    Py_XDECREF(result);
    PyObject *pending = errors_take();
    Py_XDECREF(swap_handled(previous));
    errors_give(pending);
    Py_DECREF(exception);
    return status;
}

/* -- steps of _execute: each 1 to go on, 0 when the rest is a task's or nothing is left, -1 with an exception -- */

/* The rest is a task's, in the same context: what a step has set in there, a later one can reset by its token. A task that starts
 * at once enters the context itself, so it is left here until the task waits. 0 or -1. */
static int start_task(HandlerObject *self, PyObject *awaitable, int stage)
{
    PyObject *context = Py_XNewRef(PyThreadState_Get()->context);
    if (context != NULL && PyContext_Exit(context) < 0) {
        Py_DECREF(context);
        return -1;
    }
    PyObject *number = PyLong_FromLong(stage);
    PyObject *started = number ? PyObject_CallFunctionObjArgs(BOUND(self->state, start_task), (PyObject *)self, awaitable, number,
                                                              context ? context : Py_None, NULL)
                               : NULL;
    PyObject *exception = errors_take();
    if (context != NULL && PyContext_Enter(context) < 0) {
        errors_unraisable(self->state, context);
    }
    errors_give(exception);
    int status = started == NULL ? -1 : 0;
    Py_XDECREF(started);
    Py_XDECREF(number);
    Py_XDECREF(context);
    return status;
}

static int check_result(HandlerObject *self, PyObject *result, int stage)
{
    if (result == NULL) {
        return -1;
    }
    int status = result == Py_None ? 1 : start_task(self, result, stage);
    Py_DECREF(result);
    return status;
}

/* Is the method one of Tornado's seven? Their names are interned, in lower case. */
static PyObject *standard_method(struct native_state *state, struct td_span method)
{
    switch (method.len) {
    case 3:
        return td_span_is(method, "GET") ? NAME(state, get) : td_span_is(method, "PUT") ? NAME(state, put) : NULL;
    case 4:
        return td_span_is(method, "POST") ? NAME(state, post) : td_span_is(method, "HEAD") ? NAME(state, head) : NULL;
    case 5:
        return td_span_is(method, "PATCH") ? NAME(state, patch) : NULL;
    case 6:
        return td_span_is(method, "DELETE") ? NAME(state, delete) : NULL;
    case 7:
        return td_span_is(method, "OPTIONS") ? NAME(state, options) : NULL;
    default:
        return NULL;
    }
}

static int raise_http_error(HandlerObject *self, long code)
{
    PyObject *error = PyObject_CallFunction(BOUND(self->state, HTTPError), "l", code);
    if (error != NULL) {
        PyErr_SetObject(BOUND(self->state, HTTPError), error);
        Py_DECREF(error);
    }
    return -1;
}

/* self.request.method.lower(). New reference or NULL. */
static PyObject *current_method(HandlerObject *self)
{
    PyObject *request = PyObject_GetAttr((PyObject *)self, NAME(self->state, request));
    PyObject *method = request ? PyObject_GetAttrString(request, "method") : NULL;
    Py_XDECREF(request);
    PyObject *name = method ? PyObject_CallMethod(method, "lower", NULL) : NULL;
    Py_XDECREF(method);
    return name;
}

/* The name of the handler's method: request.method in lower case, if it is in SUPPORTED_METHODS. New reference or NULL. */
static PyObject *supported_method(HandlerObject *self, RequestObject *request, uint64_t mask)
{
    struct native_state *state = self->state;
    if (!(mask & HOOK(SUPPORTED_METHODS)) && request->slots[REQUEST_method] == NULL && request->deleted == 0) {
        PyObject *name = standard_method(state, td_head_method(request->head));
        if (name == NULL) {
            raise_http_error(self, 405);
        }
        return Py_XNewRef(name);
    }
    PyObject *method = request_slot(request, REQUEST_method);
    PyObject *supported = method ? PyObject_GetAttr((PyObject *)self, NAME(state, SUPPORTED_METHODS)) : NULL;
    if (supported == NULL) {
        return NULL;
    }
    int found = PySequence_Contains(supported, method);
    Py_DECREF(supported);
    if (found < 0) {
        return NULL;
    }
    if (!found) {
        raise_http_error(self, 405);
        return NULL;
    }
    return PyObject_CallMethod(method, "lower", NULL);
}

static int parse_body(HandlerObject *self, RequestObject *request)
{
    struct native_state *state = self->state;
    if (request_parse_body(request) == 0) {
        return 1;
    }
    if (!PyErr_ExceptionMatches(BOUND(state, HTTPInputError))) {
        return -1;
    }
    PyObject *cause = errors_take();
    PyObject *message = PyUnicode_FromFormat("Invalid body: %S", cause);
    PyObject *error = message ? PyObject_CallFunction(BOUND(state, HTTPError), "iO", 400, message) : NULL;
    if (error != NULL) {
        PyException_SetContext(error, Py_NewRef(cause));
        PyException_SetCause(error, Py_NewRef(cause));
        PyErr_SetObject(BOUND(state, HTTPError), error);
    }
    Py_XDECREF(message);
    Py_XDECREF(error);
    Py_DECREF(cause);
    return -1;
}

/* decode_argument(value), in C for what is plain UTF-8. name is NULL for positional arguments. New reference or NULL. */
static PyObject *decode_argument(HandlerObject *self, PyObject *value, PyObject *name, uint64_t mask)
{
    if (!(mask & HOOK(decode_argument))) {
        if (value == Py_None) {
            return Py_NewRef(value);
        }
        if (PyBytes_CheckExact(value)) {
            PyObject *text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), NULL);
            if (text != NULL || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                return text;
            }
            PyErr_Clear();
        }
    }
    PyObject *method = PyObject_GetAttr((PyObject *)self, NAME(self->state, decode_argument));
    if (method == NULL) {
        return NULL;
    }
    PyObject *kwargs = name ? Py_BuildValue("{s:O}", "name", name) : NULL;
    PyObject *result = name && kwargs == NULL ? NULL : PyObject_VectorcallDict(method, &value, 1, kwargs);
    Py_XDECREF(kwargs);
    Py_DECREF(method);
    return result;
}

static int decode_path(HandlerObject *self, PyObject *args, PyObject *kwargs, uint64_t mask)
{
    Py_ssize_t count = args ? PyTuple_GET_SIZE(args) : 0;
    bool named = kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0;
    if (count == 0 && !named) {
        handler_set_container(&self->path_args, NULL);
        handler_set_container(&self->path_kwargs, NULL);
        return 1;
    }
    PyObject *list = PyList_New(count);
    PyObject *dict = list && named ? PyDict_New() : NULL;
    if (list == NULL || (named && dict == NULL)) {
        Py_XDECREF(list);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *text = decode_argument(self, PyTuple_GET_ITEM(args, i), NULL, mask);
        if (text == NULL) {
            goto fail;
        }
        PyList_SET_ITEM(list, i, text);
    }
    if (named) {
        Py_ssize_t position = 0;
        PyObject *name, *value;
        while (PyDict_Next(kwargs, &position, &name, &value)) {
            PyObject *text = decode_argument(self, value, name, mask);
            int status = text ? PyDict_SetItem(dict, name, text) : -1;
            Py_XDECREF(text);
            if (status < 0) {
                goto fail;
            }
        }
    }
    handler_set_container(&self->path_args, list);
    handler_set_container(&self->path_kwargs, dict);
    return 1;
fail:
    Py_DECREF(list);
    Py_XDECREF(dict);
    return -1;
}

static bool is_safe(struct td_span method)
{
    return td_span_is(method, "GET") || td_span_is(method, "HEAD") || td_span_is(method, "OPTIONS");
}

/* XSRF and the like: called only if there is something that they would look at. */
static int check_origin(HandlerObject *self, RequestObject *request, ApplicationObject *application, uint64_t mask)
{
    struct native_state *state = self->state;
    if (!(mask & HOOK(_cross_origin_protection)) && is_safe(td_head_method(request->head))) {
        return 1;
    }
    PyObject *hook = NAME(state, _cross_origin_protection);
    bool has_hook = PyObject_HasAttr(BOUND(state, tornado_RequestHandler), hook);
    if (!has_hook) {
        /* Tornado before 6.6 has only the XSRF check, with the same exceptions. */
        hook = NAME(state, check_xsrf_cookie);
    }
    if (!has_hook || !(mask & HOOK(_cross_origin_protection))) {
        PyObject *xsrf = application_setting(application, SETTING_xsrf_cookies);
        PyObject *origin = has_hook ? application_setting(application, SETTING_cross_origin_protection) : NULL;
        if ((xsrf == NULL || PyObject_IsTrue(xsrf) == 0) && (origin == NULL || PyObject_IsTrue(origin) == 0)) {
            return 1;
        }
    }
    PyObject *result = PyObject_CallMethodNoArgs((PyObject *)self, hook);
    Py_XDECREF(result);
    return result == NULL ? -1 : 1;
}

static int call_prepare(HandlerObject *self, uint64_t mask)
{
    if (!(mask & HOOK(prepare))) {
        return 1;
    }
    return check_result(self, PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, prepare)), STAGE_PREPARE);
}

/* What stands behind ** may be any mapping. A new reference to a dict; NULL with an exception. */
static PyObject *dict_of_mapping(PyObject *mapping, PyObject *function)
{
    if (PyDict_CheckExact(mapping)) {
        return Py_NewRef(mapping);
    }
    PyObject *dict = PyDict_New();
    if (dict != NULL && PyDict_Update(dict, mapping) < 0) {
        Py_CLEAR(dict);
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            PyObject *module = PyObject_GetAttrString(function, "__module__");
            PyObject *name = module ? PyObject_GetAttrString(function, "__qualname__") : NULL;
            if (name != NULL) {
                PyErr_Format(PyExc_TypeError, "%S.%S() argument after ** must be a mapping, not %.200s", module, name,
                             Py_TYPE(mapping)->tp_name);
            }
            Py_XDECREF(module);
            Py_XDECREF(name);
        }
    }
    return dict;
}

#define SMALL_ARGS 8

/* getattr(self, name)(*path_args, **path_kwargs) */
static PyObject *call_method(HandlerObject *self, PyObject *name)
{
    PyObject *list = self->path_args.object;
    PyObject *dict = self->path_kwargs.object;
    Py_ssize_t count = self->path_args.unmade ? 0 : -1;
    if (list != NULL) {
        count = PyList_CheckExact(list) ? PyList_GET_SIZE(list) : -1;
    }
    bool no_kwargs = dict != NULL ? PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 0 : self->path_kwargs.unmade;
    if (count >= 0 && count <= SMALL_ARGS && no_kwargs) {
        PyObject *stack[SMALL_ARGS + 1];
        stack[0] = (PyObject *)self;
        for (Py_ssize_t i = 0; i < count; i++) {
            stack[i + 1] = Py_NewRef(PyList_GET_ITEM(list, i));
        }
        PyObject *result = PyObject_VectorcallMethod(name, stack, (size_t)(count + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        for (Py_ssize_t i = 0; i < count; i++) {
            Py_DECREF(stack[i + 1]);
        }
        return result;
    }
    PyObject *method = PyObject_GetAttr((PyObject *)self, name);
    list = method == NULL ? NULL : PyObject_GetAttr((PyObject *)self, NAME(self->state, path_args));
    PyObject *args = list ? PySequence_Tuple(list) : NULL;
    dict = args ? PyObject_GetAttr((PyObject *)self, NAME(self->state, path_kwargs)) : NULL;
    PyObject *kwargs = dict ? dict_of_mapping(dict, method) : NULL;
    PyObject *result = kwargs ? PyObject_Call(method, args, kwargs) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(list);
    Py_XDECREF(args);
    Py_XDECREF(dict);
    Py_XDECREF(kwargs);
    return result;
}

static int auto_finish(HandlerObject *self)
{
    if (!self->auto_finish || self->finished) {
        return 0;
    }
    PyObject *result;
    if (handler_mask(self) & HOOK(finish)) {
        result = PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, finish));
    }
    else {
        result = handler_finish(self, NULL, false);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int execute(HandlerObject *self, RequestObject *request, ApplicationObject *application, PyObject *args, PyObject *kwargs)
{
    uint64_t mask = handler_mask(self);
    PyObject *name = supported_method(self, request, mask);
    int status = name ? parse_body(self, request) : -1;
    if (status > 0) {
        status = decode_path(self, args, kwargs, mask);
    }
    if (status > 0) {
        status = check_origin(self, request, application, mask);
    }
    if (status > 0) {
        status = call_prepare(self, mask);
    }
    if (status > 0 && self->finished) {
        status = 0;
    }
    if (status > 0 && (self->request != (PyObject *)request || request->slots[REQUEST_method] != NULL || request->deleted != 0)) {
        /* prepare() may have changed the method. */
        Py_SETREF(name, current_method(self));
        status = name ? 1 : -1;
    }
    if (status > 0) {
        status = check_result(self, call_method(self, name), STAGE_METHOD);
    }
    if (status > 0) {
        status = auto_finish(self);
    }
    Py_XDECREF(name);
    return status;
}

/* -- making the handler -- */

/* debug mode: templates and static hashes are looked up anew for each request, as _HandlerDelegate.execute does. */
static int reset_caches(struct native_state *state, ApplicationObject *application)
{
    if (application_setting(application, SETTING_compiled_template_cache) == NULL &&
        application_setting(application, SETTING_static_hash_cache) == NULL) {
        return 0;
    }
    PyObject *result = PyObject_CallOneArg(BOUND(state, reset_caches), (PyObject *)application);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *make_handler(const struct route *route, ApplicationObject *application, RequestObject *request)
{
    PyObject *kwargs = NULL;
    if (route->handler_kwargs != NULL && (kwargs = dict_of_mapping(route->handler_kwargs, route->handler_class)) == NULL) {
        return NULL;
    }
    PyObject *handler = handler_make(request->state, route->handler_class, (PyObject *)application, (PyObject *)request, kwargs);
    Py_XDECREF(kwargs);
    return handler;
}

static bool has_transforms(const ApplicationObject *application)
{
    PyObject *classes = application->transforms;
    return classes != NULL && (!PyList_CheckExact(classes) || PyList_GET_SIZE(classes) > 0);
}

/* [t(request) for t in application.transforms] */
static PyObject *make_transforms(ApplicationObject *application, RequestObject *request)
{
    PyObject *list = has_transforms(application) ? PySequence_List(application->transforms) : PyList_New(0);
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyObject *transform = PyObject_CallOneArg(PyList_GET_ITEM(list, i), (PyObject *)request);
        if (transform == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SetItem(list, i, transform);
    }
    return list;
}

/* The general path: _execute as a coroutine in a task. */
static int run_general(struct native_state *state, PyObject *handler, PyObject *transforms, const struct route *route)
{
    PyObject *result = PyObject_CallFunctionObjArgs(BOUND(state, run_general), handler, transforms,
                                                    route->path_args ? route->path_args : Py_None,
                                                    route->path_kwargs ? route->path_kwargs : Py_None, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* In the request's context. -1: an exception as headers_received or finish of Tornado's delegate would raise it. *leave: and it
 * must leave the loop. */
static int run(ServerConnectionObject *connection, ApplicationObject *application, bool *leave)
{
    struct native_state *state = connection->state;
    RequestObject *request = (RequestObject *)Py_NewRef((PyObject *)connection->request);
    /* Held here: any call into Python may end the exchange and with it what the connection holds. */
    struct route route = {
        .handler_class = Py_NewRef(connection->handler_class),
        .handler_kwargs = Py_XNewRef(connection->handler_kwargs),
        .path_args = Py_XNewRef(connection->path_args),
        .path_kwargs = Py_XNewRef(connection->path_kwargs),
    };
    PyObject *transforms = NULL;
    PyObject *handler = NULL;
    int status = reset_caches(state, application);
    if (status == 0) {
        handler = make_handler(&route, application, request);
        status = handler ? 0 : -1;
    }
    if (status == 0) {
        /* An __init__ that does not call its base's leaves a handler without request: Tornado's own frame says what is missing.
         */
        bool native =
            PyObject_TypeCheck(handler, state->handler_type) && !(handler_mask((HandlerObject *)handler) & HOOK(_execute)) &&
            ((HandlerObject *)handler)->request == (PyObject *)request && ((HandlerObject *)handler)->application != NULL;
        if ((!native || has_transforms(application)) && (transforms = make_transforms(application, request)) == NULL) {
            status = -1;
        }
        else if (!native) {
            COUNTED(state, executed);
            status = run_general(state, handler, transforms, &route);
        }
        else {
            COUNTED(state, handled);
            HandlerObject *self = (HandlerObject *)handler;
            handler_set_container(&self->transforms, Py_XNewRef(transforms));
            if (execute(self, request, application, route.path_args, route.path_kwargs) < 0) {
                status = handle_exception(self);
                *leave = status < 0;
            }
        }
    }
    route_clear(&route);
    Py_XDECREF(handler);
    Py_XDECREF(transforms);
    Py_DECREF(request);
    return status;
}

int handler_run(ServerConnectionObject *connection)
{
    bool leave = false;
    ApplicationObject *application = (ApplicationObject *)Py_NewRef((PyObject *)connection->application);
    PyObject *context = PyContext_Copy(connection->server->context);
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        Py_DECREF(application);
        return conn_request_failed(connection);
    }
    int status = run(connection, application, &leave);
    PyObject *exception = errors_take();
    if (PyContext_Exit(context) < 0) {
        errors_unraisable(connection->state, context);
    }
    errors_give(exception);
    Py_DECREF(context);
    Py_DECREF(application);
    if (status < 0 && !leave) {
        status = conn_request_failed(connection);
    }
    return status;
}
