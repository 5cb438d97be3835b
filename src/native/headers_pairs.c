/* The iterator of HTTPHeaders.get_all(). Like Tornado's generator it looks at the live dict, and from the first step on only.
 * Unlike it, a field that had one value when its turn came is given out once, even if another value is added right then. */
#include "headers_internal.h"

#define TYPE_ATTRIBUTE "_pairs_type"

typedef struct {
    PyObject_HEAD
    HeadersObject *headers; /* owned; NULL once exhausted */
    PyObject *items;        /* owned: iterator over the map's items; NULL before the first pair */
    PyObject *name;         /* owned: the field that `values` belongs to */
    PyObject *values;       /* owned: iterator over the values of a repeated field, or NULL */
} PairsObject;

PyObject *headers_iterate(PyObject *object)
{
    PyObject *pairs = headers_call(object, "get_all", NULL);
    PyObject *iterator = pairs != NULL ? PyObject_GetIter(pairs) : NULL;
    Py_XDECREF(pairs);
    return iterator;
}

PyObject *headers_pairs_new(HeadersObject *self)
{
    PyObject *type = headers_attribute((PyObject *)self->state->headers_type, TYPE_ATTRIBUTE);
    PairsObject *pairs = NULL;
    if (type != NULL) {
        pairs = (PairsObject *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    }
    if (pairs != NULL) {
        pairs->headers = (HeadersObject *)Py_NewRef((PyObject *)self);
    }
    Py_XDECREF(type);
    return (PyObject *)pairs;
}

static int pairs_clear(PyObject *object)
{
    PairsObject *self = (PairsObject *)object;
    Py_CLEAR(self->headers);
    Py_CLEAR(self->items);
    Py_CLEAR(self->name);
    Py_CLEAR(self->values);
    return 0;
}

static int pairs_traverse(PyObject *object, visitproc visit, void *arg)
{
    PairsObject *self = (PairsObject *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->headers);
    Py_VISIT(self->items);
    Py_VISIT(self->name);
    Py_VISIT(self->values);
    return 0;
}

static void pairs_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    pairs_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

/* The next value of the repeated field at hand. NULL: no more, or an exception. */
static PyObject *next_of_values(PairsObject *self)
{
    PyObject *values = Py_NewRef(self->values);
    PyObject *name = Py_NewRef(self->name);
    PyObject *value = PyIter_Next(values);
    PyObject *pair = value != NULL ? PyTuple_Pack(2, name, value) : NULL;
    Py_XDECREF(value);
    Py_DECREF(name);
    Py_DECREF(values);
    return pair;
}

static PyObject *start_items(HeadersObject *headers)
{
    PyObject *map = headers_map(headers);
    PyObject *view = map != NULL ? PyObject_CallMethodNoArgs(map, NAME(headers->state, items)) : NULL;
    PyObject *items = view != NULL ? PyObject_GetIter(view) : NULL;
    Py_XDECREF(view);
    return items;
}

/* The next item of the dict: a pair to give out, or the start of a repeated field (then *pair is NULL). False at the end, or with
 * an exception. */
static bool next_of_items(PairsObject *self, PyObject **pair)
{
    PyObject *items = Py_NewRef(self->items);
    PyObject *item = PyIter_Next(items);
    Py_DECREF(items);
    *pair = NULL;
    if (item == NULL || self->headers == NULL) {
        Py_XDECREF(item);
        return false;
    }
    PyObject *entry = PyTuple_GET_ITEM(item, 1);
    if (headers_entry_is_single(self->headers, entry)) {
        *pair = item;
        return true;
    }
    PyObject *values = PyObject_GetIter(entry);
    if (values != NULL) {
        Py_XSETREF(self->name, Py_NewRef(PyTuple_GET_ITEM(item, 0)));
        Py_XSETREF(self->values, values);
    }
    Py_DECREF(item);
    return values != NULL;
}

static PyObject *pairs_next(PyObject *object)
{
    PairsObject *self = (PairsObject *)object;
    PyObject *pair = NULL;
    if (self->headers != NULL && self->items == NULL) {
        PyObject *items = start_items(self->headers);
        Py_XSETREF(self->items, items);
    }
    while (self->headers != NULL && self->items != NULL) {
        if (self->values != NULL) {
            pair = next_of_values(self);
            if (pair != NULL) {
                return pair;
            }
            if (PyErr_Occurred()) {
                break;
            }
            Py_CLEAR(self->values);
        }
        if (!next_of_items(self, &pair)) {
            break;
        }
        if (pair != NULL) {
            return pair;
        }
    }
    /* As a generator: after its end, or an exception, there is nothing more. */
    PyObject *exception_type, *exception, *traceback;
    PyErr_Fetch(&exception_type, &exception, &traceback);
    pairs_clear(object);
    PyErr_Restore(exception_type, exception, traceback);
    return NULL;
}

static PyType_Slot pairs_slots[] = {
    {Py_tp_dealloc, pairs_dealloc},  {Py_tp_traverse, pairs_traverse}, {Py_tp_clear, pairs_clear},
    {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, pairs_next},     {0, NULL},
};

static PyType_Spec pairs_spec = {
    .name = "tornadoc._native.HTTPHeadersPairs",
    .basicsize = sizeof(PairsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pairs_slots,
};

int headers_pairs_setup(PyObject *module, struct native_state *state)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &pairs_spec, NULL);
    int status = type != NULL ? PyObject_SetAttrString((PyObject *)state->headers_type, TYPE_ATTRIBUTE, type) : -1;
    Py_XDECREF(type);
    return status;
}
