/* See guard.h. */
#include "guard.h"

static const enum native_name handler_names[] = {
#define X(name) NAME_##name,
    HANDLER_HOOKS(X)
#undef X
};
static const enum native_name application_names[] = {
#define X(name) NAME_##name,
    APPLICATION_HOOKS(X)
#undef X
};
static const enum native_name server_names[] = {
#define X(name) NAME_##name,
    SERVER_HOOKS(X)
#undef X
};
static const enum native_name exchange_names[] = {
#define X(name) NAME_##name,
    EXCHANGE_HOOKS(X)
#undef X
};
static const enum native_name stream_names[] = {
#define X(name) NAME_##name,
    STREAM_HOOKS(X)
#undef X
};
static const enum native_name ssl_stream_names[] = {
#define X(name) NAME_##name,
    SSL_STREAM_HOOKS(X)
#undef X
};
static const enum native_name socket_names[] = {
#define X(name) NAME_##name,
    SOCKET_HOOKS(X)
#undef X
};
static const enum native_name websocket_names[] = {
#define X(name) NAME_##name,
    WEBSOCKET_HOOKS(X)
#undef X
};

_Static_assert(HANDLER_HOOK_COUNT < GUARD_MAX_HOOKS, "a mask has a bit for each hook, and one for what is behind it");

#define COUNT(names) ((int)(sizeof(names) / sizeof(*(names))))

static const enum native_name loop_names[] = {
#define X(name) NAME_##name,
    LOOP_HOOKS(X)
#undef X
};
static const enum native_name io_loop_names[] = {
#define X(name) NAME_##name,
    IO_LOOP_HOOKS(X)
#undef X
};

static const struct {
    const enum native_name *names;
    int count;
} hook_sets[GUARD_SET_COUNT] = {
    [GUARD_HANDLER] = {handler_names, HANDLER_HOOK_COUNT},
    [GUARD_APPLICATION] = {application_names, APPLICATION_HOOK_COUNT},
    [GUARD_SERVER] = {server_names, SERVER_HOOK_COUNT},
    [GUARD_EXCHANGE] = {exchange_names, EXCHANGE_HOOK_COUNT},
    [GUARD_LOOP] = {loop_names, LOOP_HOOK_COUNT},
    [GUARD_IO_LOOP] = {io_loop_names, IO_LOOP_HOOK_COUNT},
    [GUARD_IOSTREAM] = {stream_names, COUNT(stream_names)},
    [GUARD_SSL_IOSTREAM] = {ssl_stream_names, COUNT(ssl_stream_names)},
    [GUARD_PIPE_IOSTREAM] = {stream_names, COUNT(stream_names)},
    [GUARD_WEBSOCKET] = {websocket_names, COUNT(websocket_names)},
    [GUARD_SOCKET] = {socket_names, COUNT(socket_names)},
};

static bool is_attribute(PyObject *name, PyObject *value)
{
    bool kind = Py_IS_TYPE(value, &PyGetSetDescr_Type) || Py_IS_TYPE(value, &PyMemberDescr_Type);
    const char *text = kind && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
    return text != NULL && strncmp(text, "__", 2) != 0;
}

/* The attributes that the class's native bases define. New reference or NULL. */
static PyObject *native_attributes(PyTypeObject *base, PyTypeObject *original)
{
    PyObject *attributes = PyDict_New();
    for (Py_ssize_t i = 0; attributes != NULL && i < PyTuple_GET_SIZE(base->tp_mro); i++) {
        PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(base->tp_mro, i);
        if (type == original) {
            break;
        }
        Py_ssize_t position = 0;
        PyObject *name, *value;
        while (attributes != NULL && PyDict_Next(type->tp_dict, &position, &name, &value)) {
            if (is_attribute(name, value) && PyDict_SetItem(attributes, name, value) < 0) {
                Py_CLEAR(attributes);
            }
        }
    }
    return attributes;
}

int guard_bind(struct native_state *state, enum guard_set set, PyTypeObject *base, PyTypeObject *original, PyObject *originals)
{
    struct guard *guard = &state->guards[set];
    Py_XSETREF(guard->base, (PyTypeObject *)Py_NewRef((PyObject *)base));
    Py_XSETREF(guard->original, (PyTypeObject *)Py_NewRef((PyObject *)original));
    PyObject *index = PyDict_New();
    if (index == NULL) {
        return -1;
    }
    Py_XSETREF(guard->index, index);
    PyObject *attributes = native_attributes(base, original);
    if (attributes == NULL) {
        return -1;
    }
    Py_XSETREF(guard->attributes, attributes);
    for (int i = 0; i < hook_sets[set].count; i++) {
        PyObject *name = state->names[hook_sets[set].names[i]];
        Py_XSETREF(guard->expected[i], Py_XNewRef(_PyType_Lookup(base, name)));
        Py_XSETREF(guard->originals[i], Py_XNewRef(PyDict_GetItemWithError(originals, name)));
        PyObject *number = PyLong_FromLong(i);
        if (number == NULL || PyErr_Occurred() || PyDict_SetItem(index, name, number) < 0) {
            Py_XDECREF(number);
            return -1;
        }
        Py_DECREF(number);
    }
    memset(guard->cache, 0, sizeof(guard->cache));
    return 0;
}

void guard_clear(struct native_state *state)
{
    for (int set = 0; set < GUARD_SET_COUNT; set++) {
        struct guard *guard = &state->guards[set];
        Py_CLEAR(guard->base);
        Py_CLEAR(guard->original);
        Py_CLEAR(guard->index);
        Py_CLEAR(guard->attributes);
        for (int i = 0; i < GUARD_MAX_HOOKS; i++) {
            Py_CLEAR(guard->expected[i]);
            Py_CLEAR(guard->originals[i]);
        }
    }
}

int guard_traverse(struct native_state *state, visitproc visit, void *arg)
{
    for (int set = 0; set < GUARD_SET_COUNT; set++) {
        struct guard *guard = &state->guards[set];
        Py_VISIT(guard->base);
        Py_VISIT(guard->original);
        Py_VISIT(guard->index);
        Py_VISIT(guard->attributes);
        for (int i = 0; i < GUARD_MAX_HOOKS; i++) {
            Py_VISIT(guard->expected[i]);
            Py_VISIT(guard->originals[i]);
        }
    }
    return 0;
}

/* Is Tornado's own definition of the hook not Tornado's any more? A version of Tornado may have none: then there is nothing to
 * find. */
static bool is_patched(struct guard *guard, int i, PyObject *name)
{
    return _PyType_Lookup(guard->original, name) != guard->originals[i];
}

static int has_cooperative_init(struct native_state *state, struct guard *guard, PyTypeObject *type)
{
    PyObject *mro = type->tp_mro;
    int behind = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(mro); i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(mro, i);
        if (behind && base != &PyBaseObject_Type && base->tp_dict != NULL &&
            PyDict_Contains(base->tp_dict, NAME(state, __init__)) != 0) {
            return 1;
        }
        behind |= base == guard->original;
    }
    return 0;
}

bool guard_hides(struct native_state *state, enum guard_set set, PyTypeObject *type, PyObject **name)
{
    PyObject *attributes = state->guards[set].attributes;
    Py_ssize_t position = 0;
    PyObject *descriptor;
    while (attributes != NULL && PyDict_Next(attributes, &position, name, &descriptor)) {
        if (_PyType_Lookup(type, *name) != descriptor) {
            return true;
        }
    }
    return false;
}

/* Whose objects may be of classes of the program's, with state in C. An Application's is kept in step (application_setattro). */
static bool may_hide(enum guard_set set)
{
    return set == GUARD_HANDLER || set == GUARD_IOSTREAM || set == GUARD_SSL_IOSTREAM || set == GUARD_PIPE_IOSTREAM ||
           set == GUARD_IO_LOOP;
}

static uint64_t compute_mask(struct native_state *state, enum guard_set set, PyTypeObject *type)
{
    struct guard *guard = &state->guards[set];
    uint64_t mask = 0;
    PyObject *hidden;
    if (may_hide(set) && guard_hides(state, set, type, &hidden)) {
        uint64_t all = (UINT64_C(1) << hook_sets[set].count) - 1;
        return all | all << GUARD_MAX_HOOKS;
    }
    for (int i = 0; i < hook_sets[set].count; i++) {
        PyObject *name = state->names[hook_sets[set].names[i]];
        bool patched = is_patched(guard, i, name);
        /* A subclass's own __init__ is called as such; only a patch of Tornado's would be passed over. */
        bool own_init = set == GUARD_HANDLER && i == HOOK___init__;
        if (patched || (!own_init && _PyType_Lookup(type, name) != guard->expected[i])) {
            mask |= UINT64_C(1) << i;
        }
        if (patched) {
            mask |= UINT64_C(1) << (i + GUARD_MAX_HOOKS);
        }
    }
    if (set == GUARD_HANDLER && has_cooperative_init(state, guard, type)) {
        mask |= UINT64_C(1) << HOOK_cooperative_init;
    }
    return mask;
}

bool guard_names_hold(PyObject *names)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *triple = PyTuple_GET_ITEM(names, i);
        if (PyDict_GetItemWithError(PyTuple_GET_ITEM(triple, 0), PyTuple_GET_ITEM(triple, 1)) != PyTuple_GET_ITEM(triple, 2)) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

uint64_t guard_find_mask(struct native_state *state, enum guard_set set, PyTypeObject *type)
{
    struct guard *guard = &state->guards[set];
    size_t place = guard_place(type);
    /* The lookups of compute_mask give the type a tag if it can have one. */
    uint64_t mask = compute_mask(state, set, type);
    guard->cache[place].type = type;
    guard->cache[place].tag = type->tp_version_tag;
    guard->cache[place].mask = mask;
    return mask;
}

uint64_t guard_hook_of(struct native_state *state, enum guard_set set, PyObject *name)
{
    PyObject *index = state->guards[set].index;
    PyObject *number = index != NULL && PyUnicode_Check(name) ? PyDict_GetItemWithError(index, name) : NULL;
    return number ? UINT64_C(1) << PyLong_AsLong(number) : 0;
}

uint64_t guard_dict_mask(struct native_state *state, enum guard_set set, PyObject *dict)
{
    if (dict == NULL || PyDict_GET_SIZE(dict) == 0) {
        return 0;
    }
    uint64_t mask = 0;
    Py_ssize_t position = 0;
    PyObject *key;
    PyObject *index = state->guards[set].index;
    while (PyDict_Next(dict, &position, &key, NULL)) {
        PyObject *number = PyUnicode_CheckExact(key) ? PyDict_GetItemWithError(index, key) : NULL;
        if (number != NULL) {
            mask |= UINT64_C(1) << PyLong_AsLong(number);
        }
    }
    return mask;
}
