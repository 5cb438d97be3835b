/* See handler.h: the object, its attributes, __init__ and clear. */
#include "handler.h"

#include <time.h>

#include "convert.h"
#include "errors.h"
#include "exchange.h"
#include "guard.h"
#include "headers.h"
#include "request.h"

#include "core/clock.h"

uint64_t handler_mask(HandlerObject *self)
{
    return guard_type_mask(self->state, GUARD_HANDLER, Py_TYPE(self)) | guard_dict_mask(self->state, GUARD_HANDLER, self->dict);
}

ServerConnectionObject *handler_connection(HandlerObject *self)
{
    if (self->request == NULL || !PyObject_TypeCheck(self->request, self->state->request_type)) {
        return NULL;
    }
    RequestObject *request = (RequestObject *)self->request;
    return request_is_live(request) && exchange_is_plain(request->transport) ? request->transport : NULL;
}

void handler_reset(HandlerObject *self)
{
    Py_CLEAR(self->headers);
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->reason);
    self->status_code = 200;
    self->date = td_clock_wall();
    self->content_length = -1;
    self->etag[0] = '\0';
    self->closes = false;
    self->keeps = false;
    self->chunks = false;
}

/* -- lazily made attributes -- */

static int add_text(HeadersObject *headers, PyObject *name, const char *text, size_t len)
{
    PyObject *value = PyUnicode_DecodeLatin1(text, (Py_ssize_t)len, NULL);
    int status = value ? headers_set_normal(headers, name, value) : -1;
    Py_XDECREF(value);
    return status;
}

/* The default headers of an answer of that second, kept for the next one. New reference to a dict, or NULL. */
static PyObject *default_headers(struct native_state *state, time_t second)
{
    if (state->default_headers == NULL || state->default_second != second) {
        struct td_date_cache cache = {0};
        PyObject *date = convert_latin1(td_span_of(td_date_text(&cache, second), TD_DATE_LEN));
        PyObject *map = date ? PyDict_New() : NULL;
        if (map == NULL || PyDict_SetItem(map, TEXT(state, server), BOUND(state, server_version)) < 0 ||
            PyDict_SetItem(map, TEXT(state, content_type), TEXT(state, html)) < 0 ||
            PyDict_SetItem(map, TEXT(state, date), date) < 0) {
            Py_CLEAR(map);
        }
        Py_XDECREF(date);
        if (map == NULL) {
            return NULL;
        }
        Py_XSETREF(state->default_headers, map);
        state->default_second = second;
    }
    return Py_NewRef(state->default_headers);
}

PyObject *handler_headers(HandlerObject *self)
{
    struct native_state *state = self->state;
    if (self->headers != NULL) {
        return self->headers;
    }
    PyObject *object = headers_new(state);
    if (object == NULL) {
        return NULL;
    }
    HeadersObject *headers = (HeadersObject *)object;
    PyObject *defaults = default_headers(state, (time_t)self->date);
    headers->map = defaults ? PyDict_Copy(defaults) : NULL;
    Py_XDECREF(defaults);
    char number[24];
    if (headers->map == NULL ||
        (self->etag[0] != '\0' && add_text(headers, TEXT(state, etag), self->etag, strlen(self->etag)) < 0) ||
        (self->content_length >= 0 &&
         add_text(headers, TEXT(state, content_length), number,
                  (size_t)(td_format_decimal(number, (uint64_t)self->content_length) - number)) < 0) ||
        (self->closes && headers_set_normal(headers, TEXT(state, connection), TEXT(state, close)) < 0) ||
        (self->keeps && headers_set_normal(headers, TEXT(state, connection), TEXT(state, keep_alive)) < 0) ||
        (self->chunks && headers_set_normal(headers, TEXT(state, transfer_encoding), TEXT(state, chunked)) < 0)) {
        Py_DECREF(object);
        return NULL;
    }
    return native_fill(&self->headers, object);
}

static bool has_list(const HandlerObject *self)
{
    return self->buffer != NULL && !PyBytes_CheckExact(self->buffer);
}

PyObject *handler_buffer_list(HandlerObject *self)
{
    if (has_list(self)) {
        return self->buffer;
    }
    /* This may start the collector, and a finalizer write. */
    PyObject *list = PyList_New(0);
    if (list == NULL || has_list(self)) {
        Py_XDECREF(list);
        return list ? self->buffer : NULL;
    }
    if (self->buffer != NULL && PyList_Append(list, self->buffer) < 0) {
        Py_DECREF(list);
        return NULL;
    }
    Py_XSETREF(self->buffer, list);
    return list;
}

/* The key of 200 in httputil.responses, if that is an int: as a rule, a member of HTTPStatus. The lookup of an equal number would
 * have to compare the two. Borrowed or NULL, without an exception. */
static PyObject *find_key_of_ok(struct native_state *state)
{
    Py_ssize_t position = 0;
    PyObject *key;
    while (PyDict_Next(BOUND(state, responses), &position, &key, NULL)) {
        if (PyLong_Check(key) && Py_TYPE(key)->tp_hash == PyLong_Type.tp_hash &&
            Py_TYPE(key)->tp_richcompare == PyLong_Type.tp_richcompare) {
            int overflow;
            if (PyLong_AsLongAndOverflow(key, &overflow) == 200) {
                return key;
            }
        }
    }
    return NULL;
}

/* httputil.responses.get(code). Borrowed or NULL. */
static PyObject *standard_reason(struct native_state *state, long code)
{
    PyObject *responses = BOUND(state, responses);
    if (code == 200) {
        if (state->key_of_ok == NULL) {
            state->key_of_ok = Py_XNewRef(find_key_of_ok(state));
        }
        if (state->key_of_ok != NULL) {
            return PyDict_GetItemWithError(responses, state->key_of_ok);
        }
    }
    PyObject *number = PyLong_FromLong(code);
    PyObject *reason = number ? PyDict_GetItemWithError(responses, number) : NULL;
    Py_XDECREF(number);
    return reason;
}

PyObject *handler_reason(HandlerObject *self)
{
    if (self->reason == NULL) {
        PyObject *reason = standard_reason(self->state, self->status_code);
        if (reason == NULL && PyErr_Occurred()) {
            return NULL;
        }
        self->reason = reason ? Py_NewRef(reason) : PyUnicode_FromString("Unknown");
    }
    return self->reason;
}

/* -- clear and __init__ -- */

static int call_discarding(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int handler_clear_response(HandlerObject *self, uint64_t mask)
{
    handler_reset(self);
    if (mask & HOOK(set_default_headers)) {
        if (call_discarding(PyObject_CallMethodNoArgs((PyObject *)self, NAME(self->state, set_default_headers))) < 0) {
            return -1;
        }
        /* As in Tornado, what the hook did to anything but the headers is undone. */
        Py_CLEAR(self->buffer);
        Py_CLEAR(self->reason);
        self->status_code = 200;
    }
    return 0;
}

/* connection.set_close_callback(self.on_connection_close) */
static int set_close_callback(HandlerObject *self)
{
    ServerConnectionObject *connection = handler_connection(self);
    if (connection != NULL) {
        Py_CLEAR(connection->close_callback);
        Py_XSETREF(connection->handler, (HandlerObject *)Py_NewRef((PyObject *)self));
        return 0;
    }
    PyObject *request = PyObject_GetAttr((PyObject *)self, NAME(self->state, request));
    PyObject *object = request ? PyObject_GetAttr(request, NAME(self->state, connection)) : NULL;
    Py_XDECREF(request);
    if (object == NULL) {
        return -1;
    }
    int status = -1;
    if (object == Py_None) {
        PyErr_SetNone(PyExc_AssertionError);
    }
    else {
        PyObject *callback = PyObject_GetAttr((PyObject *)self, NAME(self->state, on_connection_close));
        PyObject *result = callback ? PyObject_CallMethod(object, "set_close_callback", "O", callback) : NULL;
        status = result == NULL ? -1 : 0;
        Py_XDECREF(callback);
        Py_XDECREF(result);
    }
    Py_DECREF(object);
    return status;
}

static int call_initialize(HandlerObject *self, PyObject *kwargs, uint64_t mask)
{
    if (!(mask & HOOK(initialize)) && (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0)) {
        return 0;
    }
    PyObject *method = PyObject_GetAttr((PyObject *)self, NAME(self->state, initialize));
    if (method == NULL) {
        return -1;
    }
    PyObject *result = PyObject_VectorcallDict(method, NULL, 0, kwargs);
    Py_DECREF(method);
    return call_discarding(result);
}

/* RequestHandler.__init__ behind its arguments. kwargs (borrowed, may be NULL) are initialize()'s. */
static int init(HandlerObject *self, PyObject *application, PyObject *request, PyObject *kwargs, uint64_t mask)
{
    struct native_state *state = self->state;
    if (mask & (UINT64_C(1) << HOOK_cooperative_init)) {
        PyObject *super =
            PyObject_CallFunctionObjArgs((PyObject *)&PySuper_Type, BOUND(state, tornado_RequestHandler), (PyObject *)self, NULL);
        PyObject *result = super ? PyObject_CallMethodNoArgs(super, NAME(state, __init__)) : NULL;
        Py_XDECREF(super);
        if (call_discarding(result) < 0) {
            return -1;
        }
    }
    Py_XSETREF(self->application, Py_NewRef(application));
    Py_XSETREF(self->request, Py_NewRef(request));
    self->headers_written = false;
    self->finished = false;
    self->auto_finish = true;
    int status = mask & HOOK(clear) ? call_discarding(PyObject_CallMethodNoArgs((PyObject *)self, NAME(state, clear)))
                                    : handler_clear_response(self, mask);
    if (status == 0) {
        status = set_close_callback(self);
    }
    return status == 0 ? call_initialize(self, kwargs, mask) : -1;
}

static int handler_init(HandlerObject *self, PyObject *args, PyObject *kwargs)
{
    struct native_state *state = self->state;
    uint64_t mask = handler_mask(self);
    if (mask & HOOK(__init__)) {
        /* Somebody has wrapped Tornado's __init__: theirs runs, over this object's attributes. */
        PyObject *init = PyObject_GetAttr(BOUND(state, tornado_RequestHandler), NAME(state, __init__));
        PyObject *all = init ? PyTuple_New(PyTuple_GET_SIZE(args) + 1) : NULL;
        PyObject *result = NULL;
        if (all != NULL) {
            PyTuple_SET_ITEM(all, 0, Py_NewRef((PyObject *)self));
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
                PyTuple_SET_ITEM(all, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
            }
            result = PyObject_Call(init, all, kwargs);
        }
        Py_XDECREF(init);
        Py_XDECREF(all);
        return call_discarding(result);
    }
    PyObject *given[2] = {NULL, NULL};
    PyObject *names[2] = {NAME(state, application), NAME(state, request)};
    PyObject *rest = NULL;
    if (PyTuple_GET_SIZE(args) > 2) {
        PyErr_Format(PyExc_TypeError, "RequestHandler.__init__() takes 3 positional arguments but %zd were given",
                     PyTuple_GET_SIZE(args) + 1);
        return -1;
    }
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        rest = PyDict_Copy(kwargs);
        if (rest == NULL) {
            return -1;
        }
    }
    int status = -1;
    for (int i = 0; i < 2; i++) {
        if (i < PyTuple_GET_SIZE(args)) {
            given[i] = Py_NewRef(PyTuple_GET_ITEM(args, i));
            if (rest != NULL && PyDict_GetItemWithError(rest, names[i]) != NULL) {
                PyErr_Format(PyExc_TypeError, "RequestHandler.__init__() got multiple values for argument '%U'", names[i]);
                goto done;
            }
        }
        else if (rest != NULL && (given[i] = Py_XNewRef(PyDict_GetItemWithError(rest, names[i]))) != NULL) {
            if (PyDict_DelItem(rest, names[i]) < 0) {
                goto done;
            }
        }
        else {
            if (i == 0 && (rest == NULL || PyDict_GetItemWithError(rest, names[1]) == NULL)) {
                PyErr_SetString(PyExc_TypeError,
                                "RequestHandler.__init__() missing 2 required positional arguments: 'application' "
                                "and 'request'");
            }
            else {
                PyErr_Format(PyExc_TypeError, "RequestHandler.__init__() missing 1 required positional argument: '%U'", names[i]);
            }
            goto done;
        }
    }
    status = init(self, given[0], given[1], rest, mask);
done:
    Py_XDECREF(given[0]);
    Py_XDECREF(given[1]);
    Py_XDECREF(rest);
    return status;
}

static PyObject *handler_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct native_state *state = native_state_of(type);
    HandlerObject *self = state ? (HandlerObject *)native_alloc(type) : NULL;
    if (self != NULL) {
        self->state = state;
        self->auto_finish = true;
        self->status_code = 200;
        self->content_length = -1;
    }
    return (PyObject *)self;
}

PyObject *handler_make(struct native_state *state, PyObject *handler_class, PyObject *application, PyObject *request,
                       PyObject *kwargs)
{
    PyTypeObject *type = (PyTypeObject *)handler_class;
    PyObject *args[] = {NULL, application, request};
    uint64_t mask = guard_type_mask(state, GUARD_HANDLER, type);
    if (kwargs != NULL || (mask & HOOK(__init__)) || Py_TYPE(type)->tp_call != PyType_Type.tp_call ||
        type->tp_new != handler_new || type->tp_init != (initproc)handler_init) {
        return PyObject_VectorcallDict(handler_class, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, kwargs);
    }
    /* What the call would do, without its tuple of arguments. */
    HandlerObject *self = (HandlerObject *)handler_new(type, NULL, NULL);
    if (self != NULL && init(self, application, request, NULL, mask) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* -- attributes -- */

static PyObject *get_headers(HandlerObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(handler_headers(self));
}

static PyObject *get_buffer(HandlerObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(handler_buffer_list(self));
}

static int set_buffer(HandlerObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    /* Only a list is the live buffer that Tornado's code expects; any other sequence is taken over as one. */
    PyObject *list = value == NULL ? NULL : PyList_CheckExact(value) ? Py_NewRef(value) : PySequence_List(value);
    if (list == NULL && value != NULL) {
        return -1;
    }
    Py_XSETREF(self->buffer, list);
    return 0;
}

static PyObject *get_status(HandlerObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(self->status_code);
}

static int set_status(HandlerObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    long code = value ? PyLong_AsLong(value) : 0;
    if (PyErr_Occurred()) {
        return -1;
    }
    /* The reason is an attribute of its own: it stays what it was. */
    if (handler_reason(self) == NULL) {
        return -1;
    }
    self->status_code = code;
    return 0;
}

static PyObject *get_reason(HandlerObject *self, void *Py_UNUSED(closure))
{
    return Py_XNewRef(handler_reason(self));
}

static PyObject *get_ui(HandlerObject *self, void *Py_UNUSED(closure))
{
    if (self->ui == NULL) {
        PyObject *ui = PyObject_CallOneArg(BOUND(self->state, make_ui), (PyObject *)self);
        if (ui == NULL) {
            return NULL;
        }
        Py_XSETREF(self->ui, ui);
    }
    return Py_NewRef(self->ui);
}

/* Attributes that are simply held. The closure is the offset of the field. */
static PyObject **field_of(HandlerObject *self, void *closure)
{
    return (PyObject **)((char *)self + (size_t)(intptr_t)closure);
}

static const char *field_name(void *closure);

static PyObject *get_field(HandlerObject *self, void *closure)
{
    PyObject *value = *field_of(self, closure);
    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'", Py_TYPE(self)->tp_name, field_name(closure));
        return NULL;
    }
    return Py_NewRef(value);
}

void handler_set_container(struct handler_container *container, PyObject *object)
{
    container->unmade = object == NULL;
    Py_XSETREF(container->object, object);
}

static PyObject *get_container(HandlerObject *self, void *closure, PyObject *(*make)(void))
{
    struct handler_container *container = (struct handler_container *)field_of(self, closure);
    if (container->unmade && container->object == NULL) {
        if (native_fill(&container->object, make()) == NULL) {
            return NULL;
        }
        container->unmade = false;
    }
    return get_field(self, closure);
}

static PyObject *make_list(void)
{
    return PyList_New(0);
}

static PyObject *get_list(HandlerObject *self, void *closure)
{
    return get_container(self, closure, make_list);
}

static PyObject *get_dict(HandlerObject *self, void *closure)
{
    return get_container(self, closure, PyDict_New);
}

static int set_container(HandlerObject *self, PyObject *value, void *closure)
{
    struct handler_container *container = (struct handler_container *)field_of(self, closure);
    container->unmade = false;
    Py_XSETREF(container->object, Py_XNewRef(value));
    return 0;
}

static PyObject *get_field_or_none(HandlerObject *self, void *closure)
{
    PyObject *value = *field_of(self, closure);
    return Py_NewRef(value ? value : Py_None);
}

static int set_field(HandlerObject *self, PyObject *value, void *closure)
{
    PyObject **field = field_of(self, closure);
    Py_XSETREF(*field, Py_XNewRef(value));
    return 0;
}

static PyObject *get_flag(HandlerObject *self, void *closure)
{
    return PyBool_FromLong(*(bool *)((char *)self + (size_t)(intptr_t)closure));
}

static int set_flag(HandlerObject *self, PyObject *value, void *closure)
{
    int truth = value ? PyObject_IsTrue(value) : 0;
    if (truth < 0) {
        return -1;
    }
    *(bool *)((char *)self + (size_t)(intptr_t)closure) = truth;
    return 0;
}

#define OFFSET(field) ((void *)(intptr_t)offsetof(HandlerObject, field))

static PyGetSetDef handler_getset[] = {
    {"_headers", (getter)get_headers, (setter)set_field, "Headers of the response.", OFFSET(headers)},
    {"_write_buffer", (getter)get_buffer, (setter)set_buffer, "What was written and not flushed.", NULL},
    {"_status_code", (getter)get_status, (setter)set_status, NULL, NULL},
    {"_reason", (getter)get_reason, (setter)set_field, NULL, OFFSET(reason)},
    {"ui", (getter)get_ui, (setter)set_field, "UI methods and modules of templates.", OFFSET(ui)},
    {"_transforms", (getter)get_list, (setter)set_container, NULL, OFFSET(transforms.object)},
    {"path_args", (getter)get_list, (setter)set_container, "Positional groups of the route, decoded.", OFFSET(path_args.object)},
    {"path_kwargs", (getter)get_dict, (setter)set_container, "Named groups of the route, decoded.", OFFSET(path_kwargs.object)},
    {"_prepared_future", (getter)get_field_or_none, (setter)set_field, NULL, OFFSET(prepared_future)},
    {"_headers_written", (getter)get_flag, (setter)set_flag, NULL, OFFSET(headers_written)},
    {"_finished", (getter)get_flag, (setter)set_flag, NULL, OFFSET(finished)},
    {"_auto_finish", (getter)get_flag, (setter)set_flag, NULL, OFFSET(auto_finish)},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* The attribute that is held at that offset. */
static const char *field_name(void *closure)
{
    const PyGetSetDef *entry = handler_getset;
    while (entry->name != NULL && entry->closure != closure) {
        entry++;
    }
    return entry->name != NULL ? entry->name : "?";
}

static PyMemberDef handler_members[] = {
    {"application", T_OBJECT_EX, offsetof(HandlerObject, application), 0, "The Application."},
    {"request", T_OBJECT_EX, offsetof(HandlerObject, request), 0, "The HTTPServerRequest."},
    {"__dictoffset__", T_PYSSIZET, offsetof(HandlerObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandlerObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int handler_traverse(HandlerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->application);
    Py_VISIT(self->request);
    Py_VISIT(self->headers);
    Py_VISIT(self->buffer);
    Py_VISIT(self->reason);
    Py_VISIT(self->transforms.object);
    Py_VISIT(self->prepared_future);
    Py_VISIT(self->path_args.object);
    Py_VISIT(self->path_kwargs.object);
    Py_VISIT(self->ui);
    Py_VISIT(self->dict);
    return 0;
}

static int handler_clear(HandlerObject *self)
{
    Py_CLEAR(self->application);
    Py_CLEAR(self->request);
    Py_CLEAR(self->headers);
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->reason);
    Py_CLEAR(self->transforms.object);
    Py_CLEAR(self->prepared_future);
    Py_CLEAR(self->path_args.object);
    Py_CLEAR(self->path_kwargs.object);
    Py_CLEAR(self->ui);
    Py_CLEAR(self->dict);
    return 0;
}

static void handler_dealloc(HandlerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)handler_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(handler_doc,
             "RequestHandler(application, request, **kwargs)\n--\n\nThe native half of tornadoc.web.RequestHandler.");

static PyType_Slot handler_slots[] = {
    {Py_tp_new, handler_new},         {Py_tp_init, handler_init},
    {Py_tp_dealloc, handler_dealloc}, {Py_tp_traverse, handler_traverse},
    {Py_tp_clear, handler_clear},     {Py_tp_methods, handler_output_methods},
    {Py_tp_getset, handler_getset},   {Py_tp_members, handler_members},
    {Py_tp_doc, (void *)handler_doc}, {0, NULL},
};

static PyType_Spec handler_spec = {
    .name = "tornadoc._native.RequestHandler",
    .basicsize = sizeof(HandlerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = handler_slots,
};

int handler_setup_types(PyObject *module, struct native_state *state)
{
    if (native_add_type(module, &handler_spec, &state->handler_type) < 0) {
        return -1;
    }
    return native_add_methods(state->handler_type, handler_argument_methods);
}
