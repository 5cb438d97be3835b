/* See server.h. */
#include "server.h"

#include "application.h"
#include "convert.h"
#include "errors.h"
#include "guard.h"
#include "listener.h"
#include "server_take.h"

static int read_parameters(ServerObject *self, PyObject *params)
{
    struct native_state *state = self->state;
    uint64_t chunk_size, max_header_size;
    if (convert_bool_attribute(params, NAME(state, no_keep_alive), &self->no_keep_alive) < 0 ||
        convert_bool_attribute(params, NAME(state, decompress), &self->decompress) < 0 ||
        convert_size_attribute(params, NAME(state, chunk_size), 65536, &chunk_size) < 0 ||
        convert_size_attribute(params, NAME(state, max_header_size), 65536, &max_header_size) < 0 ||
        convert_double_attribute(params, NAME(state, header_timeout), -1.0, &self->header_timeout) < 0 ||
        convert_double_attribute(params, NAME(state, body_timeout), -1.0, &self->body_timeout) < 0 ||
        convert_size_attribute(params, NAME(state, max_body_size), self->max_buffer_size, &self->max_body_size) < 0) {
        return -1;
    }
    self->chunk_size = chunk_size ? (size_t)chunk_size : 65536;
    self->max_header_size = (size_t)max_header_size;
    return 0;
}

static int replace_attribute(PyObject *object, PyObject *name, PyObject **slot)
{
    PyObject *value = PyObject_GetAttr(object, name);
    if (value == NULL) {
        return -1;
    }
    Py_XSETREF(*slot, value);
    return 0;
}

int server_refresh(ServerObject *self)
{
    struct native_state *state = self->state;
    PyObject *object = (PyObject *)self;
    if (convert_size_attribute(object, NAME(state, max_buffer_size), 104857600, &self->max_buffer_size) < 0) {
        return -1;
    }
    if (self->max_buffer_size == 0) {
        self->max_buffer_size = 104857600;
    }
    PyObject *params = PyObject_GetAttr(object, NAME(state, conn_params));
    if (params == NULL) {
        return -1;
    }
    int status = read_parameters(self, params);
    Py_DECREF(params);
    if (status < 0 || convert_bool_attribute(object, NAME(state, xheaders), &self->xheaders) < 0 ||
        replace_attribute(object, NAME(state, protocol), &self->protocol) < 0 ||
        replace_attribute(object, NAME(state, request_callback), &self->request_callback) < 0 ||
        replace_attribute(object, NAME(state, _connections), &self->connections) < 0 ||
        replace_attribute(object, NAME(state, ssl_options), &self->ssl_options) < 0) {
        return -1;
    }
    uint64_t mask = guard_type_mask(state, GUARD_SERVER, Py_TYPE(self)) | guard_dict_mask(state, GUARD_SERVER, self->dict);
    self->native_accept =
        PySet_Check(self->connections) && !(mask & (SERVER_HOOK(handle_stream) | SERVER_HOOK(_handle_connection)));
    self->native_start = !(mask & SERVER_HOOK(start_request));
    self->native_close = !(mask & SERVER_HOOK(on_close));
    return 0;
}

int server_prepare_tls(ServerObject *self)
{
    if (self->ssl_options == Py_None) {
        Py_CLEAR(self->tls_context);
        Py_CLEAR(self->tls_source);
        return 1;
    }
    /* A dict's files may have been replaced since: Tornado reads them for each connection. */
    PyObject *known = self->tls_source ? self->tls_source : Py_None;
    PyObject *found = PyObject_CallFunctionObjArgs(BOUND(self->state, tls_context), self->ssl_options, known, NULL);
    if (found == NULL) {
        return -1;
    }
    if (found == known) {
        Py_DECREF(found);
        return self->tls_context != NULL;
    }
    PyObject *context = PyTuple_Check(found) && PyTuple_GET_SIZE(found) > 0 ? PyTuple_GET_ITEM(found, 0) : Py_None;
    Py_XSETREF(self->tls_context, context == Py_None ? NULL : Py_NewRef(context));
    Py_XSETREF(self->tls_source, found);
    return self->tls_context != NULL;
}

struct application_object *server_application(ServerObject *self)
{
    struct native_state *state = self->state;
    PyObject *callback = self->request_callback;
    if (!self->native_start || !PyObject_TypeCheck(callback, state->application_type)) {
        return NULL;
    }
    const uint64_t needed = APP_HOOK(start_request) | APP_HOOK(find_handler) | APP_HOOK(get_handler_delegate);
    return application_mask((ApplicationObject *)callback) & needed ? NULL : (ApplicationObject *)callback;
}

PyObject *server_function(ServerObject *self)
{
    /* Of these types alone it is known that they are no delegates, whatever they say of themselves. */
    PyObject *callback = self->request_callback;
    bool plain = PyFunction_Check(callback) || PyMethod_Check(callback) || PyCFunction_CheckExact(callback);
    return plain && self->native_start && !self->decompress ? callback : NULL;
}

bool server_wants_delegate(ServerObject *self)
{
    return server_application(self) == NULL && server_function(self) == NULL;
}

void server_forget(ServerObject *self, PyObject *connection)
{
    struct native_state *state = self->state;
    if (self->native_close) {
        /* Somebody may have put another set there: what close_all_connections() looks at must not keep it. */
        if (PySet_Discard(self->connections, connection) >= 0 &&
            replace_attribute((PyObject *)self, NAME(state, _connections), &self->connections) == 0 &&
            (!PySet_Check(self->connections) || PySet_Discard(self->connections, connection) >= 0)) {
            return;
        }
    }
    else {
        PyObject *args[] = {(PyObject *)self, connection};
        PyObject *result = PyObject_VectorcallMethod(NAME(state, on_close), args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_XDECREF(result);
        if (result != NULL) {
            return;
        }
    }
    if (errors_report(state, "Exception in on_close") < 0) {
        errors_unraisable(state, (PyObject *)self);
    }
}

PyDoc_STRVAR(server_listen_doc, "_listen($self, engine, socket, /)\n--\n\nAccept connections on a bound, listening socket; "
                                "returns a function that stops it.");

static PyObject *server_listen(ServerObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "_listen() takes an engine and a socket");
        return NULL;
    }
    if (self->state == NULL) {
        self->state = native_state_of(Py_TYPE(self));
        if (self->state == NULL) {
            return NULL;
        }
    }
    if (!PyObject_TypeCheck(args[0], self->state->engine_type)) {
        PyErr_SetString(PyExc_TypeError, "_listen() takes an engine and a socket");
        return NULL;
    }
    if (self->context == NULL) {
        self->context = PyContext_CopyCurrent();
        if (self->context == NULL) {
            return NULL;
        }
    }
    if (server_refresh(self) < 0) {
        return NULL;
    }
    return listener_new(self, (EngineObject *)args[0], args[1]);
}

static int server_traverse(ServerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->protocol);
    Py_VISIT(self->request_callback);
    Py_VISIT(self->connections);
    Py_VISIT(self->context);
    Py_VISIT(self->ssl_options);
    Py_VISIT(self->tls_context);
    Py_VISIT(self->tls_source);
    Py_VISIT(self->dict);
    return 0;
}

static int server_clear(ServerObject *self)
{
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->request_callback);
    Py_CLEAR(self->connections);
    Py_CLEAR(self->context);
    Py_CLEAR(self->ssl_options);
    Py_CLEAR(self->tls_context);
    Py_CLEAR(self->tls_source);
    Py_CLEAR(self->dict);
    return 0;
}

static void server_dealloc(ServerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)server_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef server_methods[] = {
    {"_listen", (PyCFunction)(void (*)(void))server_listen, METH_FASTCALL, server_listen_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef server_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(ServerObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ServerObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef server_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(server_doc, "The native half of tornadoc.httpserver.HTTPServer.");

/* No tp_new: HTTPServer is a tornado.util.Configurable, whose __new__ decides the class. */
static PyType_Slot server_slots[] = {
    {Py_tp_dealloc, server_dealloc}, {Py_tp_traverse, server_traverse},
    {Py_tp_clear, server_clear},     {Py_tp_methods, server_methods},
    {Py_tp_members, server_members}, {Py_tp_getset, server_getset},
    {Py_tp_doc, (void *)server_doc}, {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "tornadoc._native.HTTPServer",
    .basicsize = sizeof(ServerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = server_slots,
};

int server_setup_types(PyObject *module, struct native_state *state)
{
    if (native_add_type(module, &server_spec, &state->server_type) < 0) {
        return -1;
    }
    return native_add_methods(state->server_type, server_take_methods);
}
