/* See handler.h: get_argument() and its kin. Whatever is not plain is left to Tornado's methods, and every exception is theirs.
 */
#include "handler.h"

#include "convert.h"
#include "guard.h"
#include "request.h"

#include "core/http_form.h"

/* -- one value -- */

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 && (c < 0x09 || c > 0x0d);
}

/* A str of UTF-8 with spaces in place of control characters. New reference or NULL. */
static PyObject *decode_clean(struct td_span span)
{
    size_t first = 0;
    while (first < span.len && !is_control(span.data[first])) {
        first++;
    }
    if (first == span.len) {
        return PyUnicode_DecodeUTF8(span.data, (Py_ssize_t)span.len, NULL);
    }
    char *clean = PyMem_Malloc(span.len);
    if (clean == NULL) {
        return PyErr_NoMemory();
    }
    for (size_t i = 0; i < span.len; i++) {
        clean[i] = is_control(span.data[i]) ? ' ' : span.data[i];
    }
    PyObject *text = PyUnicode_DecodeUTF8(clean, (Py_ssize_t)span.len, NULL);
    PyMem_Free(clean);
    return text;
}

/* decode_argument(value), without control characters, stripped if asked for. New reference; NULL with an exception, a
 * UnicodeDecodeError for what is no UTF-8. */
static PyObject *decode_span(struct td_span span, bool strip)
{
    if (!strip) {
        return decode_clean(span);
    }
    /* Up to the space all of ASCII is white, or a control character that becomes a space. */
    while (span.len > 0 && (unsigned char)span.data[span.len - 1] <= ' ') {
        span.len--;
    }
    while (span.len > 0 && (unsigned char)span.data[0] <= ' ') {
        span = td_span_of(span.data + 1, span.len - 1);
    }
    PyObject *text = decode_clean(span);
    if (text != NULL && span.len > 0 && ((span.data[0] | span.data[span.len - 1]) & 0x80)) {
        /* There is white space elsewhere in Unicode. */
        Py_SETREF(text, PyObject_CallMethod(text, "strip", NULL));
    }
    return text;
}

/* What is no UTF-8 is for Tornado to tell of: NULL without an exception. */
static PyObject *decode_or_leave(struct td_span span, bool strip)
{
    PyObject *text = decode_span(span, strip);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
    }
    return text;
}

/* -- the values of a name. Each function gives NULL without an exception for what is left to Tornado. -- */

/* Are the methods that Tornado decodes with its own, and those of the hooks? */
static bool is_plain(HandlerObject *self, uint64_t hooks)
{
    struct native_state *state = self->state;
    return !(handler_mask(self) & (hooks | HOOK(decode_argument))) &&
           _PyType_Lookup(Py_TYPE(self), NAME(state, _remove_control_chars_regex)) == BOUND(state, control_characters);
}

/* source.get(name). False if there may be more to it. *values: a list, borrowed, or NULL: there is none. */
static bool find_values(PyObject *source, PyObject *name, PyObject **values)
{
    if (!PyDict_CheckExact(source) || !PyUnicode_CheckExact(name)) {
        return false;
    }
    *values = PyDict_GetItemWithError(source, name);
    if (*values == NULL) {
        bool missing = !PyErr_Occurred();
        PyErr_Clear();
        return missing;
    }
    return PyList_CheckExact(*values);
}

static PyObject *decode_item(PyObject *values, Py_ssize_t i, bool strip)
{
    PyObject *value = PyList_GET_ITEM(values, i);
    return PyBytes_CheckExact(value) ? decode_or_leave(convert_bytes_span(value), strip) : NULL;
}

/* Is the default what a program gives, and not the mark of an argument that has to be there? */
static bool is_given(PyObject *value)
{
    return value != NULL && (value == Py_None || PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value));
}

/* The last value; without one the default, which may be NULL. */
static PyObject *last_of_dict(PyObject *source, PyObject *name, PyObject *preset, bool strip)
{
    PyObject *values;
    if (!find_values(source, name, &values)) {
        return NULL;
    }
    Py_ssize_t size = values ? PyList_GET_SIZE(values) : 0;
    if (size == 0) {
        return is_given(preset) ? Py_NewRef(preset) : NULL;
    }
    PyObject *text = NULL;
    for (Py_ssize_t i = 0; i < size && (i == 0 || text != NULL); i++) {
        Py_XSETREF(text, decode_item(values, i, strip));
    }
    return text;
}

/* A list of them. */
static PyObject *all_of_dict(PyObject *source, PyObject *name, bool strip)
{
    PyObject *values;
    PyObject *texts = PyList_New(0);
    if (texts == NULL || !find_values(source, name, &values)) {
        Py_XDECREF(texts);
        return NULL;
    }
    for (Py_ssize_t i = 0; texts != NULL && values != NULL && i < PyList_GET_SIZE(values); i++) {
        PyObject *text = decode_item(values, i, strip);
        if (text == NULL || PyList_Append(texts, text) < 0) {
            Py_CLEAR(texts);
        }
        Py_XDECREF(text);
    }
    return texts;
}

/* A query of up to this many bytes is searched; of a longer one the dict is made. */
#define SEARCHED_QUERY 256

/* The last value in a query string that is not parsed yet, without parsing it. */
static PyObject *last_of_query(struct td_span query, struct td_span name, PyObject *preset, bool strip)
{
    char scratch[SEARCHED_QUERY];
    PyObject *text = NULL;
    struct td_span field, value;
    while (td_form_next(&query, &field, &value)) {
        field = td_form_decoded(field, scratch);
        if (field.len != name.len || memcmp(field.data, name.data, name.len) != 0) {
            continue;
        }
        Py_XSETREF(text, decode_or_leave(td_form_decoded(value, scratch), strip));
        if (text == NULL) {
            return NULL;
        }
    }
    return text == NULL && is_given(preset) ? Py_NewRef(preset) : text;
}

/* -- _get_argument and _get_arguments -- */

static PyObject *method_get_argument(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (count == 4 && kwnames == NULL && PyBool_Check(args[3]) &&
        is_plain(self, HOOK(_get_arguments) | HOOK_BEHIND(_get_argument))) {
        PyObject *text = last_of_dict(args[2], args[0], args[1], args[3] == Py_True);
        if (text != NULL || PyErr_Occurred()) {
            return text;
        }
    }
    return handler_call_tornado(self, NAME(self->state, _get_argument), args, count, kwnames);
}

static PyObject *method_get_arguments(HandlerObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    if (count == 3 && kwnames == NULL && PyBool_Check(args[2]) && is_plain(self, HOOK_BEHIND(_get_arguments))) {
        PyObject *texts = all_of_dict(args[1], args[0], args[2] == Py_True);
        if (texts != NULL || PyErr_Occurred()) {
            return texts;
        }
    }
    return handler_call_tornado(self, NAME(self->state, _get_arguments), args, count, kwnames);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function)), METH_FASTCALL | METH_KEYWORDS

PyMethodDef handler_argument_methods[] = {
    {"_get_argument", FAST(method_get_argument),
     "_get_argument($self, name, default, source, strip=True)\n--\n\nThe last value of an argument, decoded."},
    {"_get_arguments", FAST(method_get_arguments),
     "_get_arguments($self, name, source, strip=True)\n--\n\nThe values of an argument, decoded."},
    {NULL, NULL, 0, NULL},
};

/* -- the public methods -- */

/* One of them, in Tornado's place: an object like a function, with what Python knows of Tornado's (its signature has a default
 * that no method of C can have). */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    struct native_state *state;
    PyObject *original; /* owned: Tornado's function */
    PyObject *name;     /* owned, interned */
    PyObject *source;   /* owned, interned: the request's attribute of the name */
    enum request_slot slot;
    bool several; /* get_arguments() and so on: a list */
} ArgumentMethodObject;

static const struct {
    const char *name;
    const char *source;
    enum request_slot slot;
    bool several;
} kinds[] = {
    {"get_argument", "arguments", REQUEST_arguments, false},
    {"get_arguments", "arguments", REQUEST_arguments, true},
    {"get_query_argument", "query_arguments", REQUEST_query_arguments, false},
    {"get_query_arguments", "query_arguments", REQUEST_query_arguments, true},
    {"get_body_argument", "body_arguments", REQUEST_body_arguments, false},
    {"get_body_arguments", "body_arguments", REQUEST_body_arguments, true},
};

struct call {
    PyObject *name;   /* borrowed, and so are the next two */
    PyObject *preset; /* the default; NULL: not given */
    PyObject *strip;
};

/* The arguments (name, default=..., strip=True), or (name, strip=True) of a method that gives several. False for others. */
static bool read_call(ArgumentMethodObject *method, PyObject *const *args, Py_ssize_t count, PyObject *kwnames, struct call *call)
{
    PyObject **order[] = {&call->name, method->several ? &call->strip : &call->preset, &call->strip};
    if (count < 1 || count > (method->several ? 2 : 3)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        *order[i] = args[i];
    }
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        /* Names in code are interned. */
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, i);
        PyObject **place = keyword == NAME(method->state, strip) ? &call->strip : &call->preset;
        if ((place == &call->preset && (keyword != NAME(method->state, default) || method->several)) || *place != NULL) {
            return false;
        }
        *place = args[count + i];
    }
    if (call->strip == NULL) {
        call->strip = Py_True;
    }
    return PyUnicode_CheckExact(call->name) && PyBool_Check(call->strip);
}

/* The handler's request if it is a native one that has the attribute where native ones have it. Borrowed or NULL. */
static RequestObject *native_request(HandlerObject *self, ArgumentMethodObject *method)
{
    PyTypeObject *type = self->state->request_type;
    if (self->request == NULL || !PyObject_TypeCheck(self->request, type)) {
        return NULL;
    }
    PyObject *descriptor = _PyType_Lookup(Py_TYPE(self->request), method->source);
    bool plain = descriptor != NULL && Py_IS_TYPE(descriptor, &PyGetSetDescr_Type) && PyDescr_TYPE(descriptor) == type;
    return plain ? (RequestObject *)self->request : NULL;
}

/* NULL without an exception: it is left to Tornado. */
static PyObject *get_native(HandlerObject *self, ArgumentMethodObject *method, const struct call *call)
{
    RequestObject *request = native_request(self, method);
    if (request == NULL || !is_plain(self, HOOK(_get_argument) | HOOK(_get_arguments))) {
        return NULL;
    }
    bool strip = call->strip == Py_True;
    struct td_span query, name;
    if (!method->several && request_unparsed_query(request, method->slot, &query) && query.len <= SEARCHED_QUERY) {
        /* The names in a query are latin-1. */
        return convert_latin1_span(call->name, &name) ? last_of_query(query, name, call->preset, strip) : NULL;
    }
    /* Making it may run code that gives the handler another request. */
    Py_INCREF(request);
    PyObject *source = Py_XNewRef(request_slot(request, method->slot));
    Py_DECREF(request);
    if (source == NULL) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *result =
        method->several ? all_of_dict(source, call->name, strip) : last_of_dict(source, call->name, call->preset, strip);
    Py_DECREF(source);
    return result;
}

static PyObject *argument_method_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    ArgumentMethodObject *method = (ArgumentMethodObject *)callable;
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    PyTypeObject *tornado = (PyTypeObject *)BOUND(method->state, tornado_RequestHandler);
    if (_PyType_Lookup(tornado, method->name) != method->original) {
        /* Somebody has replaced Tornado's: theirs has to run. */
        PyObject *function = PyObject_GetAttr((PyObject *)tornado, method->name);
        PyObject *result = function ? PyObject_Vectorcall(function, args, nargsf, kwnames) : NULL;
        Py_XDECREF(function);
        return result;
    }
    struct call call = {NULL, NULL, NULL};
    if (count > 0 && PyObject_TypeCheck(args[0], method->state->handler_type) &&
        read_call(method, args + 1, count - 1, kwnames, &call)) {
        PyObject *result = get_native((HandlerObject *)args[0], method, &call);
        if (result != NULL || PyErr_Occurred()) {
            return result;
        }
    }
    return PyObject_Vectorcall(method->original, args, nargsf, kwnames);
}

static PyObject *argument_method_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"function", NULL};
    PyObject *function;
    struct native_state *state = native_state_of(type);
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "O!:ArgumentMethod", names, &PyFunction_Type, &function)) {
        return NULL;
    }
    PyObject *name = ((PyFunctionObject *)function)->func_name;
    size_t kind = 0;
    while (kind < sizeof(kinds) / sizeof(kinds[0]) && PyUnicode_CompareWithASCIIString(name, kinds[kind].name) != 0) {
        kind++;
    }
    if (kind == sizeof(kinds) / sizeof(kinds[0])) {
        PyErr_Format(PyExc_ValueError, "%R is no method that gives arguments", function);
        return NULL;
    }
    ArgumentMethodObject *self = (ArgumentMethodObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->vectorcall = argument_method_call;
    self->state = state;
    self->original = Py_NewRef(function);
    self->slot = kinds[kind].slot;
    self->several = kinds[kind].several;
    self->name = PyUnicode_InternFromString(kinds[kind].name);
    self->source = PyUnicode_InternFromString(kinds[kind].source);
    if (self->name == NULL || self->source == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int argument_method_traverse(ArgumentMethodObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->original);
    return 0;
}

static int argument_method_clear(ArgumentMethodObject *self)
{
    Py_CLEAR(self->original);
    return 0;
}

static void argument_method_dealloc(ArgumentMethodObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)argument_method_clear(self);
    Py_XDECREF(self->name);
    Py_XDECREF(self->source);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *argument_method_get(PyObject *self, PyObject *object, PyObject *Py_UNUSED(type))
{
    return object == NULL || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

/* What is not of its own is the function's; what every class has of these two as well. */
static PyObject *argument_method_getattro(ArgumentMethodObject *self, PyObject *name)
{
    bool described = PyUnicode_Check(name) && (PyUnicode_CompareWithASCIIString(name, "__doc__") == 0 ||
                                               PyUnicode_CompareWithASCIIString(name, "__module__") == 0);
    PyObject *value = described ? NULL : PyObject_GenericGetAttr((PyObject *)self, name);
    if (value != NULL || (!described && !PyErr_ExceptionMatches(PyExc_AttributeError))) {
        return value;
    }
    PyErr_Clear();
    return PyObject_GetAttr(self->original, name);
}

static PyObject *argument_method_repr(ArgumentMethodObject *self)
{
    return PyObject_Repr(self->original);
}

static PyObject *argument_method_reduce(ArgumentMethodObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyObject_GetAttrString(self->original, "__qualname__");
}

static PyMethodDef argument_method_methods[] = {
    {"__reduce__", (PyCFunction)argument_method_reduce, METH_NOARGS, "By its name, as functions."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef argument_method_members[] = {
    {"__wrapped__", T_OBJECT_EX, offsetof(ArgumentMethodObject, original), READONLY, "Tornado's function."},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ArgumentMethodObject, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(argument_method_doc,
             "ArgumentMethod(function)\n--\n\n"
             "RequestHandler.get_argument or one of its kin, done natively where nothing stands against it.");

static PyType_Slot argument_method_slots[] = {
    {Py_tp_new, argument_method_new},
    {Py_tp_dealloc, argument_method_dealloc},
    {Py_tp_traverse, argument_method_traverse},
    {Py_tp_clear, argument_method_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, argument_method_get},
    {Py_tp_getattro, argument_method_getattro},
    {Py_tp_repr, argument_method_repr},
    {Py_tp_methods, argument_method_methods},
    {Py_tp_members, argument_method_members},
    {Py_tp_doc, (void *)argument_method_doc},
    {0, NULL},
};

static PyType_Spec argument_method_spec = {
    .name = "tornadoc._native.ArgumentMethod",
    .basicsize = sizeof(ArgumentMethodObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = argument_method_slots,
};

int argument_method_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &argument_method_spec, &state->argument_method_type);
}
