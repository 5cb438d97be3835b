/* See socket_operation.h: waiting, and the coroutine. */
#include "socket_operation.h"

#include "errors.h"

bool socket_operation_is_output(const SocketOperationObject *self)
{
    return self->action == SOCKET_SENDALL;
}

/* -- waiting -- */

static void append(SocketOperationObject *self, SocketWatchObject *watch)
{
    struct socket_queue *queue = socket_operation_is_output(self) ? &watch->writers : &watch->readers;
    if (queue->last != NULL) {
        queue->last->next = self;
    }
    else {
        queue->first = self;
    }
    queue->last = self;
    Py_INCREF(self);
    self->watch = watch;
}

/* Takes it out of wherever it waits. The caller has a reference to it. */
static void stop_waiting(SocketOperationObject *self)
{
    SocketWatchObject *watch = self->watch;
    if (watch != NULL) {
        struct socket_queue *queue = socket_operation_is_output(self) ? &watch->writers : &watch->readers;
        struct socket_operation *before = NULL;
        for (struct socket_operation *it = queue->first; it != self && it != NULL; it = it->next) {
            before = it;
        }
        *(before ? &before->next : &queue->first) = self->next;
        if (queue->last == self) {
            queue->last = before;
        }
        self->next = NULL;
        self->watch = NULL;
        Py_DECREF(watch);
        Py_DECREF(self);
    }
    PyObject *stop = self->stop_polling;
    if (stop != NULL) {
        PyObject *exception = errors_take();
        self->stop_polling = NULL;
        PyObject *result = PyObject_CallNoArgs(stop);
        if (result == NULL) {
            errors_unraisable(self->state, stop);
        }
        Py_XDECREF(result);
        Py_DECREF(stop);
        errors_give(exception);
    }
}

static void finish(SocketOperationObject *self)
{
    self->phase = OPERATION_DONE;
    stop_waiting(self);
    PyBuffer_Release(&self->view);
    /* A task keeps its coroutine, which must not keep these. */
    Py_CLEAR(self->data);
    Py_CLEAR(self->sock);
}

/* Resolves the future, with the pending exception if result is NULL. Steals result. 0, or -1 with an exception that must leave
 * the loop. */
static int resolve(SocketOperationObject *self, PyObject *result)
{
    struct native_state *state = self->state;
    if (result == NULL && errors_is_exit()) {
        return -1;
    }
    PyObject *method = result ? NAME(state, set_result) : NAME(state, set_exception);
    PyObject *value = result ? result : errors_take();
    PyObject *future = Py_NewRef(self->future);
    PyObject *answer = PyObject_CallMethodOneArg(future, method, value);
    if (answer == NULL) {
        errors_unraisable(state, future);
    }
    Py_XDECREF(answer);
    Py_DECREF(future);
    Py_DECREF(value);
    return 0;
}

bool socket_operation_ready(SocketOperationObject *self, bool *exits)
{
    if (self->running) {
        return false;
    }
    if (self->phase != OPERATION_WAITING || self->future == NULL) {
        stop_waiting(self);
        return true;
    }
    PyObject *done = PyObject_CallMethodNoArgs(self->future, NAME(self->state, done));
    if (done == NULL) {
        errors_unraisable(self->state, self->future);
    }
    Py_XDECREF(done);
    if (done != Py_False) {
        /* Cancelled: what has arrived is for the next. */
        stop_waiting(self);
        return true;
    }
    PyObject *result = NULL;
    self->running = true;
    enum socket_outcome outcome = socket_operation_attempt(self, &result);
    self->running = false;
    if (outcome == OUTCOME_AGAIN) {
        return false;
    }
    stop_waiting(self);
    if (resolve(self, outcome == OUTCOME_DONE ? result : NULL) < 0) {
        *exits = true;
    }
    return true;
}

void socket_operation_poll_soon(SocketOperationObject *self)
{
    PyObject *method = PyObject_GetAttr((PyObject *)self, NAME(self->state, _poll));
    PyObject *result = method ? PyObject_CallMethodOneArg(self->loop, NAME(self->state, call_soon), method) : NULL;
    if (result == NULL) {
        errors_unraisable(self->state, self->loop);
    }
    Py_XDECREF(method);
    Py_XDECREF(result);
}

/* Waits through loop.add_reader() or add_writer(). 0 or -1. */
static int poll_now(SocketOperationObject *self)
{
    PyObject *ready = PyObject_GetAttr((PyObject *)self, NAME(self->state, _ready));
    if (ready == NULL) {
        return -1;
    }
    self->stop_polling = PyObject_CallFunction(BOUND(self->state, poll_socket), "OiOO", self->loop, self->fd,
                                               socket_operation_is_output(self) ? Py_True : Py_False, ready);
    Py_DECREF(ready);
    return self->stop_polling ? 0 : -1;
}

/* The engine of the operation's loop. New reference or NULL. */
static EngineObject *engine_of_loop(const SocketOperationObject *self)
{
    struct native_state *state = self->state;
    PyObject *engine = PyObject_GetAttr(self->loop, NAME(state, _socket_engine));
    if (engine == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return NULL;
        }
        PyErr_Clear();
        engine = PyObject_CallOneArg(BOUND(state, engine_of), self->loop);
        if (engine != NULL && PyObject_SetAttr(self->loop, NAME(state, _socket_engine), engine) < 0) {
            Py_CLEAR(engine);
        }
    }
    if (engine != NULL && Py_TYPE(engine) != state->engine_type) {
        PyErr_SetString(PyExc_TypeError, "_socket_engine is not an Engine");
        Py_CLEAR(engine);
    }
    return (EngineObject *)engine;
}

/* Queues the operation at the watch of its socket. 0 or -1. */
static int start_waiting(SocketOperationObject *self)
{
    EngineObject *engine = engine_of_loop(self);
    if (engine == NULL) {
        return -1;
    }
    bool known = false;
    SocketWatchObject *watch = socket_watch_of(engine, self->sock, self->fd, &known);
    Py_DECREF(engine);
    if (watch == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_FileExistsError)) {
            return -1;
        }
        PyErr_Clear();
        return poll_now(self);
    }
    if (!known) {
        /* No transport has this descriptor, or else it would have let go of a known watch. */
        PyObject *number = PyLong_FromLong(self->fd);
        PyObject *checked =
            number ? PyObject_CallMethodOneArg(self->loop, NAME(self->state, _ensure_fd_no_transport), number) : NULL;
        Py_XDECREF(number);
        if (checked == NULL) {
            PyObject *exception = errors_take();
            socket_watch_release(watch->engine, self->fd);
            Py_DECREF(watch);
            errors_give(exception);
            return -1;
        }
        Py_DECREF(checked);
    }
    if (socket_watch_arm(watch, socket_operation_is_output(self)) < 0) {
        Py_DECREF(watch);
        return -1;
    }
    append(self, watch);
    return 0;
}

static PySendResult wait(SocketOperationObject *self, PyObject **result)
{
    struct native_state *state = self->state;
    self->phase = OPERATION_WAITING;
    self->future = PyObject_CallMethodNoArgs(self->loop, NAME(state, create_future));
    if (self->future == NULL || PyObject_SetAttr(self->future, NAME(state, _asyncio_future_blocking), Py_True) < 0 ||
        start_waiting(self) < 0) {
        PyObject *exception = errors_take();
        finish(self);
        errors_give(exception);
        return PYGEN_ERROR;
    }
    *result = Py_NewRef(self->future);
    return PYGEN_NEXT;
}

/* -- the coroutine -- */

static int acquire(SocketOperationObject *self)
{
    if (self->data == NULL) {
        return 0;
    }
    if (PyObject_GetBuffer(self->data, &self->view, self->action == SOCKET_RECV_INTO ? PyBUF_WRITABLE : PyBUF_SIMPLE) < 0) {
        if (self->action == SOCKET_RECV_INTO) {
            PyErr_Format(PyExc_TypeError, "recv_into() argument 1 must be read-write bytes-like object, not %.100s",
                         Py_TYPE(self->data)->tp_name);
        }
        return -1;
    }
    return 0;
}

/* In debug mode, asyncio refuses a socket with a timeout. 0 or -1. */
static int check_socket(const SocketOperationObject *self)
{
    PyObject *debug = PyObject_GetAttr(self->loop, NAME(self->state, _debug));
    int truth = debug ? PyObject_IsTrue(debug) : -1;
    Py_XDECREF(debug);
    if (truth <= 0) {
        return truth;
    }
    PyObject *timeout = PyObject_CallMethodNoArgs(self->sock, NAME(self->state, gettimeout));
    int zero = -1;
    if (timeout != NULL) {
        zero = timeout != Py_None && PyFloat_Check(timeout) && PyFloat_AS_DOUBLE(timeout) == 0.0;
        Py_DECREF(timeout);
    }
    if (zero == 0) {
        PyErr_SetString(PyExc_ValueError, "the socket must be non-blocking");
    }
    return zero == 1 ? 0 : -1;
}

static PySendResult start(SocketOperationObject *self, PyObject **result)
{
    enum socket_outcome outcome = OUTCOME_FAILED;
    if (check_socket(self) == 0 && acquire(self) == 0) {
        outcome = socket_operation_attempt(self, result);
    }
    if (outcome == OUTCOME_AGAIN) {
        return wait(self, result);
    }
    finish(self);
    return outcome == OUTCOME_DONE ? PYGEN_RETURN : PYGEN_ERROR;
}

static PySendResult resume(SocketOperationObject *self, PyObject **result)
{
    PyObject *future = self->future;
    self->future = NULL;
    finish(self);
    *result = future ? PyObject_CallMethodNoArgs(future, NAME(self->state, result)) : NULL;
    if (future == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
    }
    Py_XDECREF(future);
    return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

static bool refuse_running(const SocketOperationObject *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    }
    return self->running;
}

static PySendResult operation_am_send(PyObject *object, PyObject *Py_UNUSED(value), PyObject **result)
{
    SocketOperationObject *self = (SocketOperationObject *)object;
    PySendResult outcome = PYGEN_ERROR;
    *result = NULL;
    if (refuse_running(self)) {
        return PYGEN_ERROR;
    }
    Py_INCREF(self);
    self->running = true;
    if (self->phase == OPERATION_NEW) {
        outcome = start(self, result);
    }
    else if (self->phase == OPERATION_WAITING) {
        outcome = resume(self, result);
    }
    else {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    }
    self->running = false;
    Py_DECREF(self);
    return outcome;
}

/* StopIteration(value). Steals the reference. */
static void stop_iteration(PyObject *value)
{
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
    Py_DECREF(value);
}

static PyObject *operation_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult outcome = operation_am_send(self, Py_None, &result);
    if (outcome != PYGEN_RETURN) {
        return result;
    }
    if (result != Py_None) {
        stop_iteration(result);
    }
    else {
        Py_DECREF(result);
    }
    return NULL;
}

static PyObject *operation_send(PyObject *self, PyObject *value)
{
    PyObject *result;
    PySendResult outcome = operation_am_send(self, value, &result);
    if (outcome == PYGEN_RETURN) {
        stop_iteration(result);
        return NULL;
    }
    return result;
}

static PyObject *operation_await(PyObject *self)
{
    return Py_NewRef(self);
}

static void end(SocketOperationObject *self)
{
    Py_INCREF(self);
    finish(self);
    Py_CLEAR(self->future);
    Py_DECREF(self);
}

PyDoc_STRVAR(throw_doc, "throw($self, type, value=None, traceback=None, /)\n--\n\nEnd the operation and raise the exception.");

static PyObject *operation_throw(SocketOperationObject *self, PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;
    if (refuse_running(self) || !PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &traceback)) {
        return NULL;
    }
    if (value == Py_None) {
        value = NULL;
    }
    if (traceback == Py_None) {
        traceback = NULL;
    }
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback object");
        return NULL;
    }
    if (PyExceptionInstance_Check(type) && value == NULL) {
        value = type;
        type = (PyObject *)Py_TYPE(type);
        traceback = traceback ? Py_NewRef(traceback) : PyException_GetTraceback(value);
    }
    else if (PyExceptionClass_Check(type)) {
        Py_XINCREF(traceback);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException");
        return NULL;
    }
    end(self);
    PyErr_Restore(Py_NewRef(type), Py_XNewRef(value), traceback);
    return NULL;
}

static PyObject *operation_close(SocketOperationObject *self, PyObject *Py_UNUSED(ignored))
{
    if (refuse_running(self)) {
        return NULL;
    }
    end(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(ready_doc, "_ready($self)\n--\n\nThe callback of add_reader() and add_writer().");

static PyObject *operation_on_ready(SocketOperationObject *self, PyObject *Py_UNUSED(ignored))
{
    bool exits = false;
    (void)socket_operation_ready(self, &exits);
    if (exits) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(poll_doc, "_poll($self)\n--\n\nGo on waiting through add_reader() or add_writer().");

static PyObject *operation_poll(SocketOperationObject *self, PyObject *Py_UNUSED(ignored))
{
    bool exits = false;
    /* What happened before the loop watches the descriptor must not be missed: try first. */
    if (self->watch == NULL && self->stop_polling == NULL && !socket_operation_ready(self, &exits) && poll_now(self) < 0 &&
        resolve(self, NULL) < 0) {
        return NULL;
    }
    if (exits) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static const char *const action_names[] = {
    [SOCKET_RECV] = "sock_recv",
    [SOCKET_RECV_INTO] = "sock_recv_into",
    [SOCKET_SENDALL] = "sock_sendall",
    [SOCKET_ACCEPT] = "sock_accept",
};

static PyObject *get_name(SocketOperationObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(action_names[self->action]);
}

static PyObject *get_running(SocketOperationObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->running);
}

static PyObject *get_await(SocketOperationObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->future ? self->future : Py_None);
}

/* -- the type -- */

PyObject *socket_operation_new(struct native_state *state, enum socket_action action, PyObject *loop, PyObject *sock,
                               PyObject *data, Py_ssize_t size)
{
    PyTypeObject *type = state->socket_operation_type;
    SocketOperationObject *self = (SocketOperationObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->action = action;
    self->loop = Py_NewRef(loop);
    self->sock = Py_NewRef(sock);
    self->data = Py_XNewRef(data);
    self->position = size;
    self->fd = -1;
    return (PyObject *)self;
}

static void operation_finalize(PyObject *object)
{
    SocketOperationObject *self = (SocketOperationObject *)object;
    if (self->phase == OPERATION_NEW) {
        PyObject *exception = errors_take();
        self->phase = OPERATION_DONE;
        if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited", action_names[self->action]) < 0) {
            PyErr_WriteUnraisable(object);
        }
        errors_give(exception);
    }
}

static int operation_traverse(SocketOperationObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->loop);
    Py_VISIT(self->sock);
    Py_VISIT(self->data);
    Py_VISIT(self->view.obj);
    Py_VISIT(self->future);
    Py_VISIT(self->watch);
    Py_VISIT(self->stop_polling);
    return 0;
}

static int operation_clear(SocketOperationObject *self)
{
    self->phase = OPERATION_DONE;
    PyBuffer_Release(&self->view);
    Py_CLEAR(self->data);
    Py_CLEAR(self->future);
    Py_CLEAR(self->stop_polling);
    return 0;
}

static void operation_dealloc(SocketOperationObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    (void)operation_clear(self);
    /* A queue that it is in has a reference, so it is in none. */
    Py_CLEAR(self->loop);
    Py_CLEAR(self->sock);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef operation_methods[] = {
    {"send", (PyCFunction)operation_send, METH_O, "send($self, value, /)\n--\n\nGo on."},
    {"throw", (PyCFunction)operation_throw, METH_VARARGS, throw_doc},
    {"close", (PyCFunction)operation_close, METH_NOARGS, "close($self)\n--\n\nEnd the operation."},
    {"_ready", (PyCFunction)operation_on_ready, METH_NOARGS, ready_doc},
    {"_poll", (PyCFunction)operation_poll, METH_NOARGS, poll_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef operation_getset[] = {
    {"__name__", (getter)get_name, NULL, NULL, NULL},
    {"__qualname__", (getter)get_name, NULL, NULL, NULL},
    {"cr_running", (getter)get_running, NULL, NULL, NULL},
    {"cr_await", (getter)get_await, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot operation_slots[] = {
    {Py_tp_new, native_no_new},
    {Py_tp_dealloc, operation_dealloc},
    {Py_tp_finalize, operation_finalize},
    {Py_tp_traverse, operation_traverse},
    {Py_tp_clear, operation_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, operation_iternext},
    {Py_am_await, operation_await},
    {Py_am_send, operation_am_send},
    {Py_tp_methods, operation_methods},
    {Py_tp_getset, operation_getset},
    {Py_tp_doc, "The coroutine of an operation on a socket."},
    {0, NULL},
};

static PyType_Spec operation_spec = {
    .name = "tornadoc._native.SocketOperation",
    .basicsize = sizeof(SocketOperationObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_FINALIZE,
    .slots = operation_slots,
};

int socket_operation_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &operation_spec, &state->socket_operation_type);
}
