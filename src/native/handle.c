/* See handle.h. */
#include "handle.h"

#include "errors.h"
#include "loop.h"

/* asyncio's slots fill the base type's struct from here to its end, apart from the list of weak references. */
#define FIRST_SLOT ((Py_ssize_t)sizeof(PyObject))

static PyTypeObject *slots_type(PyTypeObject *type)
{
    return type->tp_base;
}

static int handle_traverse(PyObject *self, visitproc visit, void *arg)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_VISIT(type);
    for (Py_ssize_t at = FIRST_SLOT; at < slots_type(type)->tp_basicsize; at += (Py_ssize_t)sizeof(PyObject *)) {
        PyObject *value = *(PyObject **)((char *)self + at);
        /* Most slots have one of these, and a queue has many handles. */
        if (value != Py_None && value != Py_False && at != type->tp_weaklistoffset) {
            Py_VISIT(value);
        }
    }
    return 0;
}

static int handle_clear(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t at = FIRST_SLOT; at < slots_type(type)->tp_basicsize; at += (Py_ssize_t)sizeof(PyObject *)) {
        if (at != type->tp_weaklistoffset) {
            Py_CLEAR(*(PyObject **)((char *)self + at));
        }
    }
    return 0;
}

static struct handle_pool *pool_of(PyTypeObject *type)
{
    /* NULL once the collector has cleared the type, at the end of the interpreter. */
    PyObject *module = ((PyHeapTypeObject *)type)->ht_module;
    struct native_state *state = module ? PyModule_GetState(module) : NULL;
    if (state == NULL || state->handles == NULL) {
        return NULL;
    }
    return type == state->handle_type ? &state->handles->pool : &state->handles->timer_pool;
}

static void handle_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (*(PyObject **)((char *)self + type->tp_weaklistoffset) != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    (void)handle_clear(self);
    struct handle_pool *pool = pool_of(type);
    if (pool != NULL && pool->count < pool->limit) {
        pool->handles[pool->count++] = self;
    }
    else {
        PyObject_GC_Del(self);
    }
    Py_DECREF(type);
}

/* All slots NULL; not tracked by the collector yet. */
static PyObject *take_object(PyTypeObject *type, struct handle_pool *pool)
{
    if (type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
        return NULL;
    }
    if (pool->count > 0) {
        return PyObject_Init(pool->handles[--pool->count], type);
    }
    PyObject *self = PyObject_GC_New(PyObject, type);
    if (self != NULL) {
        memset((char *)self + FIRST_SLOT, 0, (size_t)(type->tp_basicsize - FIRST_SLOT));
    }
    return self;
}

static int fill(struct native_state *state, PyObject *self, PyObject *loop, const struct handle_call *call, bool debug)
{
    PyObject *args = PyTuple_New(call->count);
    if (args == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < call->count; i++) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(call->args[i]));
    }
    HANDLE_SLOT(state, self, args) = args;
    PyObject *context = call->context ? Py_NewRef(call->context) : PyContext_CopyCurrent();
    if (context == NULL) {
        return -1;
    }
    HANDLE_SLOT(state, self, context) = context;
    HANDLE_SLOT(state, self, callback) = Py_NewRef(call->callback);
    HANDLE_SLOT(state, self, loop) = Py_NewRef(loop);
    HANDLE_SLOT(state, self, cancelled) = Py_NewRef(Py_False);
    HANDLE_SLOT(state, self, repr) = Py_NewRef(Py_None);
    PyObject *traceback = debug ? PyObject_CallNoArgs(BOUND(state, extract_stack)) : Py_NewRef(Py_None);
    if (traceback == NULL) {
        return -1;
    }
    HANDLE_SLOT(state, self, source_traceback) = traceback;
    return 0;
}

PyObject *handle_make(struct native_state *state, PyObject *loop, const struct handle_call *call, bool debug)
{
    PyObject *self = take_object(state->handle_type, &state->handles->pool);
    if (self == NULL) {
        return NULL;
    }
    if (fill(state, self, loop, call, debug) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

int handle_visit_queued(struct native_state *state, PyObject *handle, visitproc visit, void *arg)
{
    if (!handle_is_native(state, handle) || PyObject_GC_IsTracked(handle)) {
        Py_VISIT(handle);
        return 0;
    }
    /* What it refers to hangs on the queue alone if nobody else has it; else on something that the collector does not see, and
     * what is not visited is kept. */
    return Py_REFCNT(handle) == 1 ? handle_traverse(handle, visit, arg) : 0;
}

PyObject *handle_make_timer(struct native_state *state, PyObject *loop, PyObject *when, const struct handle_call *call,
                            bool debug)
{
    PyObject *self = take_object(state->timer_handle_type, &state->handles->timer_pool);
    if (self == NULL) {
        return NULL;
    }
    td_timer_init(handle_timer(state, self), NULL, self);
    HANDLE_SLOT(state, self, when) = Py_NewRef(when);
    HANDLE_SLOT(state, self, scheduled) = Py_NewRef(Py_False);
    int status = fill(state, self, loop, call, debug);
    PyObject_GC_Track(self);
    if (status < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

/* context.run(callback, *args), for what only looks like a Context. */
static PyObject *run_in_odd_context(PyObject *context, PyObject *callback, PyObject *args)
{
    PyObject *run = PyObject_GetAttrString(context, "run");
    PyObject *one = run ? PyTuple_Pack(1, callback) : NULL;
    PyObject *all = one ? PySequence_Concat(one, args) : NULL;
    PyObject *result = all ? PyObject_CallObject(run, all) : NULL;
    Py_XDECREF(all);
    Py_XDECREF(one);
    Py_XDECREF(run);
    return result;
}

/* callback(*args) in the context. New reference or NULL. */
static PyObject *call_in_context(PyObject *context, PyObject *callback, PyObject *args)
{
    if (callback == NULL || args == NULL || context == NULL || !PyTuple_Check(args)) {
        PyErr_SetString(PyExc_AttributeError, "the handle has lost its callback");
        return NULL;
    }
    if (!PyContext_CheckExact(context)) {
        return run_in_odd_context(context, callback, args);
    }
    if (PyContext_Enter(context) < 0) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(callback, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args), NULL);
    if (PyContext_Exit(context) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

int handle_run(struct native_state *state, PyObject *handle)
{
    /* The callback may cancel the handle. */
    PyObject *callback = Py_XNewRef(HANDLE_SLOT(state, handle, callback));
    PyObject *args = Py_XNewRef(HANDLE_SLOT(state, handle, args));
    PyObject *context = Py_XNewRef(HANDLE_SLOT(state, handle, context));
    PyObject *result = call_in_context(context, callback, args);
    if (result == NULL && !errors_is_exit()) {
        PyObject *exception = errors_take();
        result = PyObject_CallFunctionObjArgs(BOUND(state, report_callback), handle, exception, NULL);
        Py_DECREF(exception);
    }
    Py_XDECREF(callback);
    Py_XDECREF(args);
    Py_XDECREF(context);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int handle_cancel(struct native_state *state, PyObject *handle)
{
    if (handle_is_cancelled(state, handle)) {
        return 0;
    }
    /* Anybody can delete the attribute. */
    Py_XSETREF(HANDLE_SLOT(state, handle, cancelled), Py_NewRef(Py_True));
    int status = 0;
    if (loop_is_debugging(state, HANDLE_SLOT(state, handle, loop))) {
        PyObject *repr = PyObject_Repr(handle);
        status = repr ? 0 : -1;
        if (repr != NULL) {
            Py_XSETREF(HANDLE_SLOT(state, handle, repr), repr);
        }
    }
    PyObject *callback = HANDLE_SLOT(state, handle, callback);
    PyObject *args = HANDLE_SLOT(state, handle, args);
    HANDLE_SLOT(state, handle, callback) = Py_NewRef(Py_None);
    HANDLE_SLOT(state, handle, args) = Py_NewRef(Py_None);
    Py_XDECREF(callback);
    Py_XDECREF(args);
    return status;
}

PyDoc_STRVAR(cancel_doc, "cancel($self, /)\n--\n\nCancel the callback, unless it has been called; see asyncio.Handle.cancel.");

static PyObject *handle_cancel_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    return state == NULL || handle_cancel(state, self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *timer_cancel_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    if (!handle_is_cancelled(state, self)) {
        loop_timer_cancelled(state, HANDLE_SLOT(state, self, loop), self);
    }
    return handle_cancel(state, self) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(cancelled_doc, "cancelled($self, /)\n--\n\nWas it cancelled?");

static PyObject *handle_cancelled_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    return state ? Py_NewRef(handle_is_cancelled(state, self) ? Py_True : Py_False) : NULL;
}

PyDoc_STRVAR(run_doc, "_run($self, /)\n--\n\nCall the callback; see asyncio.Handle.");

static PyObject *handle_run_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    return state == NULL || handle_run(state, self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef handle_methods[] = {
    {"cancel", handle_cancel_method, METH_NOARGS, cancel_doc},
    {"cancelled", handle_cancelled_method, METH_NOARGS, cancelled_doc},
    {"_run", handle_run_method, METH_NOARGS, run_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef timer_methods[] = {
    {"cancel", timer_cancel_method, METH_NOARGS, cancel_doc},
    {"cancelled", handle_cancelled_method, METH_NOARGS, cancelled_doc},
    {"_run", handle_run_method, METH_NOARGS, run_doc},
    {NULL, NULL, 0, NULL},
};

static PyObject *no_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyErr_Format(PyExc_TypeError, "cannot create '%.100s' objects: the loop makes them", type->tp_name);
    return NULL;
}

/* One of asyncio's slots. 0, or -1 with ImportError where its class is not the one that we know. */
static int find_slot(PyTypeObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *descriptor = PyObject_GetAttrString((PyObject *)type, name);
    int status = -1;
    if (descriptor != NULL && Py_TYPE(descriptor) == &PyMemberDescr_Type) {
        *offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
        status = 0;
    }
    else {
        PyErr_Format(PyExc_ImportError, "asyncio's %s has no slot %s", type->tp_name, name);
    }
    Py_XDECREF(descriptor);
    return status;
}

static PyTypeObject *asyncio_class(const char *name)
{
    PyObject *events = PyImport_ImportModule("asyncio.events");
    PyObject *type = events ? PyObject_GetAttrString(events, name) : NULL;
    Py_XDECREF(events);
    if (type != NULL && (!PyType_Check(type) || ((PyTypeObject *)type)->tp_dictoffset != 0)) {
        PyErr_Format(PyExc_ImportError, "asyncio's %s is not the class that was expected", name);
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

static int make_type(PyObject *module, PyType_Spec *spec, const char *base_name, Py_ssize_t extra, PyTypeObject **slot)
{
    PyTypeObject *base = asyncio_class(base_name);
    PyObject *bases = base ? PyTuple_Pack(1, base) : NULL;
    PyObject *type = NULL;
    if (bases != NULL) {
        spec->basicsize = (int)(base->tp_basicsize + extra);
        type = PyType_FromModuleAndSpec(module, spec, bases);
    }
    Py_XDECREF(bases);
    Py_XDECREF(base);
    *slot = (PyTypeObject *)type;
    return type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
}

PyDoc_STRVAR(handle_doc, "What call_soon() returns: asyncio's Handle, run in C.");

int handle_setup_types(PyObject *module, struct native_state *state)
{
    PyType_Slot slots[] = {
        {Py_tp_new, no_new},
        {Py_tp_dealloc, handle_dealloc},
        {Py_tp_traverse, handle_traverse},
        {Py_tp_clear, handle_clear},
        {Py_tp_methods, handle_methods},
        {Py_tp_doc, (void *)handle_doc},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tornadoc._native.Handle",
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .slots = slots,
    };
    state->handles = PyMem_Calloc(1, sizeof(*state->handles));
    if (state->handles == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    struct handle_state *places = state->handles;
    if (make_type(module, &spec, "Handle", 0, &state->handle_type) < 0) {
        return -1;
    }
    PyTypeObject *type = state->handle_type;
    if (find_slot(type, "_callback", &places->callback) < 0 || find_slot(type, "_args", &places->args) < 0 ||
        find_slot(type, "_cancelled", &places->cancelled) < 0 || find_slot(type, "_context", &places->context) < 0 ||
        find_slot(type, "_loop", &places->loop) < 0 || find_slot(type, "_repr", &places->repr) < 0 ||
        find_slot(type, "_source_traceback", &places->source_traceback) < 0) {
        return -1;
    }
    places->pool.limit = HANDLE_POOL;
    return 0;
}

PyDoc_STRVAR(timer_handle_doc, "What call_later() and call_at() return: asyncio's TimerHandle, run in C.");

int timer_handle_setup_types(PyObject *module, struct native_state *state)
{
    PyType_Slot slots[] = {
        {Py_tp_new, no_new},
        {Py_tp_dealloc, handle_dealloc},
        {Py_tp_traverse, handle_traverse},
        {Py_tp_clear, handle_clear},
        {Py_tp_methods, timer_methods},
        {Py_tp_doc, (void *)timer_handle_doc},
        {0, NULL},
    };
    PyType_Spec spec = {
        .name = "tornadoc._native.TimerHandle",
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .slots = slots,
    };
    if (make_type(module, &spec, "TimerHandle", (Py_ssize_t)sizeof(struct td_timer), &state->timer_handle_type) < 0) {
        return -1;
    }
    PyTypeObject *type = state->timer_handle_type;
    struct handle_state *places = state->handles;
    places->timer = slots_type(type)->tp_basicsize;
    if (find_slot(type, "_scheduled", &places->scheduled) < 0 || find_slot(type, "_when", &places->when) < 0) {
        return -1;
    }
    places->timer_pool.limit = HANDLE_POOL;
    return 0;
}

static void empty(struct handle_pool *pool)
{
    pool->limit = 0;
    while (pool->count > 0) {
        PyObject_GC_Del(pool->handles[--pool->count]);
    }
}

void handle_teardown(struct native_state *state)
{
    if (state->handles != NULL) {
        empty(&state->handles->pool);
        empty(&state->handles->timer_pool);
    }
}
