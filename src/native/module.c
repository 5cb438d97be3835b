/* See module.h: the module, its state, and bind(). */
#include "module.h"

#include "build_info.h"
#include "guard.h"
#include "handle.h"
#include "websocket.h"

static const char *const name_texts[] = {
#define X(name) #name,
    NATIVE_NAMES(X)
#undef X
};

static const char *const text_texts[] = {
#define X(name, text) text,
    NATIVE_TEXTS(X)
#undef X
};

static const char *const bound_names[] = {
#define X(name) #name,
    NATIVE_BOUND(X)
#undef X
};

static const char *const count_names[] = {
#define X(name) #name,
    NATIVE_COUNTS(X)
#undef X
};

struct native_state *native_state_of(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030b0000
    PyObject *module = PyType_GetModuleByDef(type, &native_module);
#else
    PyObject *module = _PyType_GetModuleByDef(type, &native_module);
#endif
    return module ? PyModule_GetState(module) : NULL;
}

PyObject *native_no_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyErr_Format(PyExc_TypeError, "cannot create '%.100s' objects: the server makes them", type->tp_name);
    return NULL;
}

PyObject *native_alloc(PyTypeObject *type)
{
    if (type->tp_flags & Py_TPFLAGS_IS_ABSTRACT) {
        PyObject *none = PyTuple_New(0);
        PyObject *refused = none ? PyBaseObject_Type.tp_new(type, none, NULL) : NULL;
        Py_XDECREF(none);
        return refused;
    }
    return type->tp_alloc(type, 0);
}

int native_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **slot)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL) {
        return -1;
    }
    *slot = (PyTypeObject *)type;
    return PyModule_AddType(module, (PyTypeObject *)type);
}

int native_add_methods(PyTypeObject *type, PyMethodDef *methods)
{
    for (; methods->ml_name != NULL; methods++) {
        PyObject *descriptor = PyDescr_NewMethod(type, methods);
        int status = descriptor ? PyObject_SetAttrString((PyObject *)type, methods->ml_name, descriptor) : -1;
        Py_XDECREF(descriptor);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

PyDoc_STRVAR(bind_doc,
             "bind(**objects)\n--\n\nHand over the Python objects that the native code works with (tornadoc/_bind.py).");

static PyObject *native_bind(PyObject *module, PyObject *Py_UNUSED(args), PyObject *kwargs)
{
    struct native_state *state = PyModule_GetState(module);
    for (int i = 0; i < BOUND_COUNT; i++) {
        PyObject *value = kwargs ? PyDict_GetItemString(kwargs, bound_names[i]) : NULL;
        if (value == NULL) {
            PyErr_Format(PyExc_TypeError, "bind() misses '%s'", bound_names[i]);
            return NULL;
        }
        Py_XSETREF(state->bound[i], Py_NewRef(value));
    }
    if (PyDict_GET_SIZE(kwargs) != BOUND_COUNT) {
        PyErr_SetString(PyExc_TypeError, "bind() got an object that it does not know");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* The set of that name; -1 with an exception. */
static int guard_set_of(const char *name)
{
    static const char *const sets[GUARD_SET_COUNT] = {"handler",  "application",  "server",        "exchange",
                                                      "iostream", "ssl_iostream", "pipe_iostream", "socket",
                                                      "loop",     "io_loop",      "websocket"};
    for (int set = 0; set < GUARD_SET_COUNT; set++) {
        if (strcmp(name, sets[set]) == 0) {
            return set;
        }
    }
    PyErr_Format(PyExc_ValueError, "unknown guard set %s", name);
    return -1;
}

PyDoc_STRVAR(guard_doc,
             "guard(set, base, original, originals, /)\n--\n\nName the classes whose definitions the fast path expects: set is "
             "'handler', 'application', 'server', 'exchange', 'iostream', 'ssl_iostream', 'pipe_iostream', 'socket', "
             "'loop', 'io_loop' or 'websocket'.");

static PyObject *native_guard(PyObject *module, PyObject *args)
{
    const char *name;
    PyTypeObject *base, *original;
    PyObject *originals;
    if (!PyArg_ParseTuple(args, "sO!O!O!:guard", &name, &PyType_Type, &base, &PyType_Type, &original, &PyDict_Type, &originals)) {
        return NULL;
    }
    int set = guard_set_of(name);
    if (set < 0 || guard_bind(PyModule_GetState(module), (enum guard_set)set, base, original, originals) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(hooks_doc,
             "changed_hooks(set, cls, /)\n--\n\nThe names of the hooks that a class changes, as a list; set is as in guard(). "
             "Of a class that hides an attribute that objects have in C: the name of that.");

static PyObject *native_changed_hooks(PyObject *module, PyObject *args)
{
    const char *name_of_set;
    PyTypeObject *type;
    if (!PyArg_ParseTuple(args, "sO!:changed_hooks", &name_of_set, &PyType_Type, &type)) {
        return NULL;
    }
    int set = guard_set_of(name_of_set);
    if (set < 0) {
        return NULL;
    }
    struct native_state *state = PyModule_GetState(module);
    uint64_t mask = guard_type_mask(state, (enum guard_set)set, type);
    PyObject *names = PyList_New(0);
    Py_ssize_t position = 0;
    PyObject *name, *number;
    if (names != NULL && guard_hides(state, (enum guard_set)set, type, &name)) {
        if (PyList_Append(names, name) < 0) {
            Py_CLEAR(names);
        }
        return names;
    }
    while (names != NULL && PyDict_Next(state->guards[set].index, &position, &name, &number)) {
        if ((mask >> PyLong_AsLong(number) & 1) && PyList_Append(names, name) < 0) {
            Py_CLEAR(names);
        }
    }
    return names;
}

PyDoc_STRVAR(
    class_versions_doc,
    "class_versions(classes, /)\n--\n\nA tuple of numbers, one for each class of a tuple, that are others as soon as the "
    "class or a base of it is modified. 0: CPython keeps no version of it.");

static PyObject *native_class_versions(PyObject *module, PyObject *classes)
{
    struct native_state *state = PyModule_GetState(module);
    if (!PyTuple_Check(classes)) {
        return PyErr_Format(PyExc_TypeError, "classes must be a tuple, not '%s'", Py_TYPE(classes)->tp_name);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(classes);
    PyObject *versions = PyTuple_New(count);
    for (Py_ssize_t i = 0; versions != NULL && i < count; i++) {
        PyObject *type = PyTuple_GET_ITEM(classes, i);
        if (!PyType_Check(type)) {
            Py_CLEAR(versions);
            return PyErr_Format(PyExc_TypeError, "a class is wanted, not '%s'", Py_TYPE(type)->tp_name);
        }
        unsigned int tag = guard_version_tag((PyTypeObject *)type);
        if (tag == 0) {
            /* A lookup gives it one. */
            (void)_PyType_Lookup((PyTypeObject *)type, NAME(state, __init__));
            tag = guard_version_tag((PyTypeObject *)type);
        }
        PyObject *number = PyLong_FromUnsignedLong(tag);
        if (number == NULL) {
            Py_CLEAR(versions);
            break;
        }
        PyTuple_SET_ITEM(versions, i, number);
    }
    return versions;
}

PyDoc_STRVAR(routes_changed_doc,
             "routes_changed()\n--\n\nA rule, a matcher or a router was changed: compiled routes are made anew.");

static PyObject *native_routes_changed(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    ((struct native_state *)PyModule_GetState(module))->route_epoch++;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(tally_doc,
             "tally()\n--\n\nHow much was served natively since the start of the process: a dict of counts (module.h).");

static PyObject *native_tally(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct native_state *state = PyModule_GetState(module);
    PyObject *tally = PyDict_New();
    for (int i = 0; tally != NULL && i < COUNT_COUNT; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(state->counts[i]);
        if (number == NULL || PyDict_SetItemString(tally, count_names[i], number) < 0) {
            Py_CLEAR(tally);
        }
        Py_XDECREF(number);
    }
    return tally;
}

PyDoc_STRVAR(
    use_stack_contexts_doc,
    "use_stack_contexts(run, spawn, wrap, /)\n--\n\nHave IOLoop and streams call their callbacks through these functions "
    "(tornadoc/stack_context.py).");

static PyObject *native_use_stack_contexts(PyObject *module, PyObject *args)
{
    struct native_state *state = PyModule_GetState(module);
    PyObject *run, *spawn, *wrap;
    if (!PyArg_ParseTuple(args, "OOO:use_stack_contexts", &run, &spawn, &wrap)) {
        return NULL;
    }
    Py_XSETREF(state->stack_run, Py_NewRef(run));
    Py_XSETREF(state->stack_spawn, Py_NewRef(spawn));
    Py_XSETREF(state->stack_wrap, Py_NewRef(wrap));
    Py_RETURN_NONE;
}

static PyMethodDef native_methods[] = {
    {"bind", (PyCFunction)(void (*)(void))native_bind, METH_VARARGS | METH_KEYWORDS, bind_doc},
    {"guard", native_guard, METH_VARARGS, guard_doc},
    {"changed_hooks", native_changed_hooks, METH_VARARGS, hooks_doc},
    {"class_versions", native_class_versions, METH_O, class_versions_doc},
    {"routes_changed", native_routes_changed, METH_NOARGS, routes_changed_doc},
    {"tally", native_tally, METH_NOARGS, tally_doc},
    {"use_stack_contexts", native_use_stack_contexts, METH_VARARGS, use_stack_contexts_doc},
    {NULL, NULL, 0, NULL},
};

static int intern_all(PyObject **slots, const char *const *texts, int count)
{
    for (int i = 0; i < count; i++) {
        slots[i] = PyUnicode_InternFromString(texts[i]);
        if (slots[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int native_exec(PyObject *module)
{
    struct native_state *state = PyModule_GetState(module);
    state->guards = PyMem_Calloc(GUARD_SET_COUNT, sizeof(*state->guards));
    state->normal_names = PyDict_New();
    if (state->guards == NULL || state->normal_names == NULL) {
        return -1;
    }
    if (intern_all(state->names, name_texts, NAME_COUNT) < 0 || intern_all(state->texts, text_texts, TEXT_COUNT) < 0) {
        return -1;
    }
    state->loop_keyword = Py_BuildValue("(s)", "loop");
    if (state->loop_keyword == NULL) {
        return -1;
    }
#define X(name)                                                                                                                  \
    if (name##_setup_types(module, state) < 0) {                                                                                 \
        return -1;                                                                                                               \
    }
    NATIVE_TYPES(X)
#undef X
    return websocket_add(module) < 0 ? -1 : build_info_add(module);
}

static int native_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct native_state *state = PyModule_GetState(module);
#define X(name) Py_VISIT(state->name##_type);
    NATIVE_TYPES(X)
#undef X
    for (int i = 0; i < BOUND_COUNT; i++) {
        Py_VISIT(state->bound[i]);
    }
    Py_VISIT(state->normal_names);
    Py_VISIT(state->default_headers);
    Py_VISIT(state->key_of_ok);
    Py_VISIT(state->json_encoder);
    Py_VISIT(state->exit_exception);
    Py_VISIT(state->stack_run);
    Py_VISIT(state->stack_spawn);
    Py_VISIT(state->stack_wrap);
    return state->guards ? guard_traverse(state, visit, arg) : 0;
}

static int native_clear(PyObject *module)
{
    struct native_state *state = PyModule_GetState(module);
    handle_teardown(state); /* freed handles need their type to be freed */
#define X(name) Py_CLEAR(state->name##_type);
    NATIVE_TYPES(X)
#undef X
    for (int i = 0; i < BOUND_COUNT; i++) {
        Py_CLEAR(state->bound[i]);
    }
    for (int i = 0; i < NAME_COUNT; i++) {
        Py_CLEAR(state->names[i]);
    }
    for (int i = 0; i < TEXT_COUNT; i++) {
        Py_CLEAR(state->texts[i]);
    }
    Py_CLEAR(state->normal_names);
    Py_CLEAR(state->loop_keyword);
    Py_CLEAR(state->default_headers);
    Py_CLEAR(state->key_of_ok);
    Py_CLEAR(state->json_encoder);
    Py_CLEAR(state->exit_exception);
    Py_CLEAR(state->stack_run);
    Py_CLEAR(state->stack_spawn);
    Py_CLEAR(state->stack_wrap);
    if (state->guards != NULL) {
        guard_clear(state);
    }
    return 0;
}

static void native_free(void *module)
{
    struct native_state *state = PyModule_GetState(module);
    (void)native_clear(module);
    PyMem_Free(state->guards);
    PyMem_Free(state->handles);
    state->guards = NULL;
    state->handles = NULL;
}

static PyModuleDef_Slot native_slots[] = {
    {Py_mod_exec, native_exec},
    {0, NULL},
};

struct PyModuleDef native_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tornadoc._native",
    .m_doc = "The native half of tornadoc.",
    .m_size = sizeof(struct native_state),
    .m_methods = native_methods,
    .m_slots = native_slots,
    .m_traverse = native_traverse,
    .m_clear = native_clear,
    .m_free = native_free,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&native_module);
}
