/* The type HTTPHeaders: construction, the mapping protocol, Tornado's attributes. Its methods are in headers_methods.c, what it
 * holds in headers_store.c. */
#include "guard.h"
#include "headers_internal.h"

/* ---- Construction ---- */

static int add_pairs_of(HeadersObject *self, PyObject *source)
{
    PyObject *iterator = headers_iterate(source);
    PyObject *pair;
    int status = iterator != NULL ? 0 : -1;
    while (status == 0 && (pair = PyIter_Next(iterator)) != NULL) {
        PyObject *two = PySequence_Fast(pair, "cannot unpack non-iterable object");
        if (two == NULL) {
            status = -1;
        }
        else if (PySequence_Fast_GET_SIZE(two) != 2) {
            PyErr_Format(PyExc_ValueError, "expected 2 values to unpack, got %zd", PySequence_Fast_GET_SIZE(two));
            status = -1;
        }
        else {
            PyObject *name = Py_NewRef(PySequence_Fast_GET_ITEM(two, 0));
            PyObject *value = Py_NewRef(PySequence_Fast_GET_ITEM(two, 1));
            status = headers_add_by_lookup(self, name, value, NULL);
            Py_DECREF(name);
            Py_DECREF(value);
        }
        Py_XDECREF(two);
        Py_DECREF(pair);
    }
    Py_XDECREF(iterator);
    return status == 0 && PyErr_Occurred() ? -1 : status;
}

static int is_headers(struct native_state *state, PyObject *object)
{
    if (PyObject_TypeCheck(object, state->headers_type)) {
        return 1;
    }
    if (PyDict_CheckExact(object) || BOUND(state, tornado_HTTPHeaders) == NULL) {
        return 0;
    }
    return PyObject_IsInstance(object, BOUND(state, tornado_HTTPHeaders));
}

static int headers_init(PyObject *object, PyObject *args, PyObject *kwargs)
{
    HeadersObject *self = (HeadersObject *)object;
    headers_reset(self);
    if (PyTuple_GET_SIZE(args) == 1 && (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0)) {
        PyObject *source = PyTuple_GET_ITEM(args, 0);
        int copies = is_headers(self->state, source);
        if (copies != 0) {
            return copies < 0 ? -1 : add_pairs_of(self, source);
        }
    }
    if (headers_has_native_update(self)) {
        return headers_update(self, args, kwargs);
    }
    PyObject *method = PyObject_GetAttr(object, NAME(self->state, update));
    PyObject *result = method != NULL ? PyObject_Call(method, args, kwargs) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

static PyObject *allocate(PyTypeObject *type, struct native_state *state)
{
    HeadersObject *self = (HeadersObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->state = state;
    }
    return (PyObject *)self;
}

static PyObject *headers_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct native_state *state = native_state_of(type);
    return state != NULL ? allocate(type, state) : NULL;
}

PyObject *headers_new(struct native_state *state)
{
    PyObject *type = BOUND(state, HTTPHeaders);
    return allocate(type != NULL ? (PyTypeObject *)type : state->headers_type, state);
}

PyObject *headers_from_head(struct native_state *state, struct td_head *head)
{
    PyObject *self = headers_new(state);
    if (self != NULL) {
        td_head_retain(head);
        ((HeadersObject *)self)->head = head;
    }
    return self;
}

static int headers_clear(PyObject *object)
{
    HeadersObject *self = (HeadersObject *)object;
    Py_CLEAR(self->map);
    Py_CLEAR(full_headers(self)->combined);
    Py_CLEAR(self->dict);
    return 0;
}

static int headers_traverse(PyObject *object, visitproc visit, void *arg)
{
    HeadersObject *self = (HeadersObject *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->map);
    Py_VISIT(full_headers(self)->combined);
    Py_VISIT(self->dict);
    return 0;
}

static void headers_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    HeadersObject *self = (HeadersObject *)object;
    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(object);
    }
    headers_reset(self);
    Py_CLEAR(self->dict);
    type->tp_free(object);
    Py_DECREF(type);
}

/* ---- Protocols ---- */

static PyObject *headers_subscript(PyObject *object, PyObject *name)
{
    HeadersObject *self = (HeadersObject *)object;
    PyObject *value = headers_find(self, name);
    if (value == NULL && !PyErr_Occurred()) {
        PyObject *normal = headers_normalize(self->state, name);
        if (normal != NULL) {
            PyErr_SetObject(PyExc_KeyError, normal);
            Py_DECREF(normal);
        }
    }
    return value;
}

int headers_set_item(HeadersObject *self, PyObject *name, PyObject *value)
{
    PyObject *normal = headers_normalize(self->state, name);
    if (normal == NULL) {
        return -1;
    }
    int status;
    if (value != NULL) {
        status = headers_set_normal(self, normal, value);
    }
    else {
        status = headers_del_normal(self, normal);
        if (status == 0) {
            PyErr_SetObject(PyExc_KeyError, normal);
        }
        status = status > 0 ? 0 : -1;
    }
    Py_DECREF(normal);
    return status;
}

static int headers_ass_subscript(PyObject *object, PyObject *name, PyObject *value)
{
    return headers_set_item((HeadersObject *)object, name, value);
}

static int headers_contains(PyObject *object, PyObject *name)
{
    return PyUnicode_Check(name) ? headers_has((HeadersObject *)object, name) : 0;
}

static Py_ssize_t headers_length(PyObject *object)
{
    PyObject *map = headers_map((HeadersObject *)object);
    return map != NULL ? PyDict_Size(map) : -1;
}

static PyObject *headers_iter(PyObject *object)
{
    PyObject *map = headers_map((HeadersObject *)object);
    return map != NULL ? PyObject_GetIter(map) : NULL;
}

/* "name: value\n" of a pair, with format()'s idea of both. */
static PyObject *format_pair(PyObject *pair)
{
    PyObject *line = NULL;
    PyObject *two = PySequence_Tuple(pair);
    PyObject *name = NULL;
    PyObject *value = NULL;
    if (two != NULL && PyTuple_GET_SIZE(two) != 2) {
        PyErr_Format(PyExc_ValueError, "expected 2 values to unpack, got %zd", PyTuple_GET_SIZE(two));
    }
    else if (two != NULL) {
        name = PyObject_Format(PyTuple_GET_ITEM(two, 0), NULL);
        value = name != NULL ? PyObject_Format(PyTuple_GET_ITEM(two, 1), NULL) : NULL;
    }
    if (value != NULL) {
        line = PyUnicode_FromFormat("%U: %U\n", name, value);
    }
    Py_XDECREF(two);
    Py_XDECREF(name);
    Py_XDECREF(value);
    return line;
}

static PyObject *headers_str(PyObject *object)
{
    PyObject *iterator = headers_iterate(object);
    PyObject *lines = iterator != NULL ? PyList_New(0) : NULL;
    PyObject *empty = PyUnicode_New(0, 0);
    PyObject *text = NULL;
    PyObject *pair;
    if (lines == NULL || empty == NULL) {
        goto done;
    }
    while ((pair = PyIter_Next(iterator)) != NULL) {
        PyObject *line = format_pair(pair);
        int status = line != NULL ? PyList_Append(lines, line) : -1;
        Py_XDECREF(line);
        Py_DECREF(pair);
        if (status < 0) {
            goto done;
        }
    }
    if (!PyErr_Occurred()) {
        text = PyUnicode_Join(empty, lines);
    }
done:
    Py_XDECREF(iterator);
    Py_XDECREF(lines);
    Py_XDECREF(empty);
    return text;
}

bool headers_has_native_slots(PyTypeObject *type)
{
    return type->tp_as_mapping->mp_subscript == headers_subscript &&
           type->tp_as_mapping->mp_ass_subscript == headers_ass_subscript && type->tp_as_mapping->mp_length == headers_length &&
           type->tp_as_sequence->sq_contains == headers_contains && type->tp_iter == headers_iter;
}

int headers_is_plain(struct native_state *state, PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    if ((PyObject *)type != BOUND(state, HTTPHeaders)) {
        return 0;
    }
    unsigned int tag = guard_version_tag(type);
    if (tag != 0 && tag == state->plain_headers_tag) {
        PyObject *dict = ((HeadersObject *)object)->dict;
        return dict == NULL || PyDict_GET_SIZE(dict) == 0;
    }
    if (!headers_has_native_slots(type) || !headers_has_native_methods((HeadersObject *)object)) {
        return 0;
    }
    /* The lookups have given it a tag, if there are any left. */
    state->plain_headers_tag = guard_version_tag(type);
    return 1;
}

/* ---- Tornado's attributes ---- */

static PyObject *get_as_list(PyObject *object, void *Py_UNUSED(closure))
{
    return headers_expose((HeadersObject *)object) < 0 ? NULL : Py_NewRef(((HeadersObject *)object)->map);
}

static PyObject *get_combined_cache(PyObject *object, void *Py_UNUSED(closure))
{
    HeadersObject *self = (HeadersObject *)object;
    return headers_expose(self) < 0 ? NULL : Py_NewRef(full_headers(self)->combined);
}

/* Tornado's __init__ and unpickling assign the two dicts; */
static int set_dict(HeadersObject *self, PyObject **field, PyObject *value)
{
    if (value == NULL || !PyDict_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "the attribute must be a dict");
        return -1;
    }
    if (headers_expose(self) < 0) {
        return -1;
    }
    Py_XSETREF(*field, Py_NewRef(value));
    return 0;
}

static int set_as_list(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    return set_dict((HeadersObject *)object, &((HeadersObject *)object)->map, value);
}

static int set_combined_cache(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    return set_dict((HeadersObject *)object, &full_headers((HeadersObject *)object)->combined, value);
}

static PyGetSetDef headers_getset[] = {
    {"_as_list", get_as_list, set_as_list, PyDoc_STR("Tornado's dict of lists, live."), NULL},
    {"_combined_cache", get_combined_cache, set_combined_cache, PyDoc_STR("Tornado's dict of combined values, live."), NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL},
};

static PyMemberDef headers_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(HeadersObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HeadersObject, weakrefs), READONLY, NULL},
    {NULL},
};

static PyType_Slot headers_slots[] = {
    {Py_tp_doc,
     PyDoc_STR(
         "HTTPHeaders(*args, **kwargs)\n--\n\nTornado's HTTPHeaders: names in Http-Header-Case, several values to a name.")},
    {Py_tp_new, headers_tp_new},
    {Py_tp_init, headers_init},
    {Py_tp_dealloc, headers_dealloc},
    {Py_tp_traverse, headers_traverse},
    {Py_tp_clear, headers_clear},
    {Py_tp_str, headers_str},
    {Py_tp_iter, headers_iter},
    {Py_mp_subscript, headers_subscript},
    {Py_mp_ass_subscript, headers_ass_subscript},
    {Py_mp_length, headers_length},
    {Py_sq_contains, headers_contains},
    {Py_tp_methods, headers_methods},
    {Py_tp_getset, headers_getset},
    {Py_tp_members, headers_members},
    {0, NULL},
};

static PyType_Spec headers_spec = {
    .name = "tornadoc._native.HTTPHeaders",
    .basicsize = sizeof(struct full_headers),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = headers_slots,
};

int headers_setup_types(PyObject *module, struct native_state *state)
{
    if (native_add_type(module, &headers_spec, &state->headers_type) < 0) {
        return -1;
    }
    return headers_pairs_setup(module, state);
}
