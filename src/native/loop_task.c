/* See loop.h: create_task() and create_future(), for a loop without a task factory that is not in debug mode. */
#include "loop.h"

#include "guard.h"

#define NAMED 3 /* loop, name and context */

/* asyncio's own method of the name. New reference or NULL. */
static PyObject *behind(LoopObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    PyObject *super =
        PyObject_CallFunctionObjArgs((PyObject *)&PySuper_Type, (PyObject *)self->state->loop_type, (PyObject *)self, NULL);
    PyObject *method = super ? PyObject_GetAttr(super, name) : NULL;
    PyObject *result = method ? PyObject_Vectorcall(method, args, (size_t)count, kwnames) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(super);
    return result;
}

/* Has somebody replaced asyncio's method? Tracers do, to follow a request into the tasks that it starts. */
static bool is_patched(LoopObject *self, uint64_t behind_hook)
{
    return (guard_type_mask(self->state, GUARD_LOOP, Py_TYPE(self)) & behind_hook) != 0;
}

/* Or the code of the function, in place? */
static bool is_rewritten(LoopObject *self)
{
    PyObject *function = BOUND(self->state, create_task_function);
    return !PyFunction_Check(function) || PyFunction_GET_CODE(function) != BOUND(self->state, create_task_code);
}

static bool knows(LoopObject *self, PyObject *name)
{
#if PY_VERSION_HEX >= 0x030b0000
    if (name == NAME(self->state, context)) {
        return true;
    }
#endif
    return name == NAME(self->state, name);
}

/* The keywords of Task() for those of create_task(): loop first. New reference; NULL without an exception where a keyword is for
 * asyncio to judge. */
static PyObject *task_keywords(LoopObject *self, PyObject *kwnames)
{
    Py_ssize_t given = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < given; i++) {
        if (!knows(self, PyTuple_GET_ITEM(kwnames, i))) {
            return NULL;
        }
    }
    PyObject *keywords = given < NAMED ? PyTuple_New(given + 1) : NULL;
    if (keywords != NULL) {
        PyTuple_SET_ITEM(keywords, 0, Py_NewRef(NAME(self->state, loop)));
        for (Py_ssize_t i = 0; i < given; i++) {
            PyTuple_SET_ITEM(keywords, i + 1, Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
        }
    }
    return keywords;
}

PyDoc_STRVAR(create_task_doc, "create_task($self, coro, /, **kwargs)\n--\n\nRun a coroutine as a Task; see asyncio's "
                              "loop.create_task().");

static PyObject *method_create_task(LoopObject *self, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    struct native_state *state = self->state;
    if (loop_check_closed(self) < 0) {
        return NULL;
    }
    bool plain = count == 1 && !self->debug && (self->task_factory == NULL || self->task_factory == Py_None) &&
                 !is_patched(self, LOOP_BEHIND(create_task)) && !is_rewritten(self);
    PyObject *keywords = plain ? task_keywords(self, kwnames) : NULL;
    if (keywords == NULL) {
        return PyErr_Occurred() ? NULL : behind(self, NAME(state, create_task), args, count, kwnames);
    }
    PyObject *all[1 + NAMED] = {args[0], (PyObject *)self};
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(keywords); i++) {
        all[1 + i] = args[i];
    }
    PyObject *type = PyObject_GetAttr(BOUND(state, tasks), NAME(state, Task));
    PyObject *task = type ? PyObject_Vectorcall(type, all, 1, keywords) : NULL;
    Py_XDECREF(type);
    Py_DECREF(keywords);
    return task;
}

PyDoc_STRVAR(create_future_doc, "create_future($self, /)\n--\n\nA Future of this loop.");

static PyObject *method_create_future(LoopObject *self, PyObject *Py_UNUSED(ignored))
{
    struct native_state *state = self->state;
    if (is_patched(self, LOOP_BEHIND(create_future))) {
        return behind(self, NAME(state, create_future), NULL, 0, NULL);
    }
    PyObject *type = PyObject_GetAttr(BOUND(state, futures), NAME(state, Future));
    PyObject *loop[] = {(PyObject *)self};
    PyObject *future = type ? PyObject_Vectorcall(type, loop, 0, BOUND(state, loop_keyword)) : NULL;
    Py_XDECREF(type);
    return future;
}

PyMethodDef loop_task_methods[] = {
    {"create_task", (PyCFunction)(void (*)(void))method_create_task, METH_FASTCALL | METH_KEYWORDS, create_task_doc},
    {"create_future", (PyCFunction)method_create_future, METH_NOARGS, create_future_doc},
    {NULL, NULL, 0, NULL},
};
