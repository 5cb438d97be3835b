/* SocketOperations: sock_recv() and its kin of an event loop, as a base class without state.
 *
 * They serve plain sockets; anything else - an SSLSocket, a class of the user's, a patched method, odd arguments - goes to
 * asyncio's own coroutines. */
#include "module.h"

#include "socket_operation.h"

#define SIZE_MAX_PLAIN (1 << 30) /* bytes asked for at once; more is odd */

/* asyncio.SelectorEventLoop.<name>(self, *args, **kwargs). */
static PyObject *behind(struct native_state *state, PyObject *self, PyObject *name, PyObject *const *args, Py_ssize_t count,
                        PyObject *keywords)
{
    Py_ssize_t total = 1 + count + (keywords ? PyTuple_GET_SIZE(keywords) : 0);
    PyObject *function = PyObject_GetAttr(BOUND(state, SelectorEventLoop), name);
    PyObject **all = function ? PyMem_New(PyObject *, (size_t)total) : NULL;
    PyObject *result = NULL;
    if (all != NULL) {
        all[0] = self;
        memcpy(all + 1, args, (size_t)(total - 1) * sizeof(*all));
        result = PyObject_Vectorcall(function, all, (size_t)(1 + count), keywords);
    }
    else if (function != NULL) {
        PyErr_NoMemory();
    }
    PyMem_Free(all);
    Py_XDECREF(function);
    return result;
}

/* May native code use the descriptor of this object in place of its method `name`, which is `own` in the interpreter? */
static bool is_plain(const struct native_state *state, PyObject *sock, PyObject *name, PyObject *own)
{
    return (PyObject *)Py_TYPE(sock) == BOUND(state, socket) && (name == NULL || _PyType_Lookup(Py_TYPE(sock), name) == own);
}

PyDoc_STRVAR(recv_doc, "sock_recv($self, sock, n)\n--\n\nReceive up to n bytes; asyncio's method of the name.");

static PyObject *sock_recv(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    if (count == 2 && keywords == NULL && PyLong_CheckExact(args[1]) &&
        is_plain(state, args[0], NAME(state, recv), BOUND(state, socket_recv))) {
        Py_ssize_t size = PyLong_AsSsize_t(args[1]);
        if (size > 0 && size <= SIZE_MAX_PLAIN) {
            return socket_operation_new(state, SOCKET_RECV, self, args[0], NULL, size);
        }
        PyErr_Clear();
    }
    return behind(state, self, NAME(state, sock_recv), args, count, keywords);
}

PyDoc_STRVAR(recv_into_doc, "sock_recv_into($self, sock, buf)\n--\n\nReceive into a buffer; asyncio's method of the name.");

static PyObject *sock_recv_into(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    if (count == 2 && keywords == NULL && is_plain(state, args[0], NAME(state, recv_into), BOUND(state, socket_recv_into))) {
        return socket_operation_new(state, SOCKET_RECV_INTO, self, args[0], args[1], 0);
    }
    return behind(state, self, NAME(state, sock_recv_into), args, count, keywords);
}

PyDoc_STRVAR(sendall_doc, "sock_sendall($self, sock, data)\n--\n\nSend all of data; asyncio's method of the name.");

static PyObject *sock_sendall(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    if (count == 2 && keywords == NULL && is_plain(state, args[0], NAME(state, send), BOUND(state, socket_send))) {
        return socket_operation_new(state, SOCKET_SENDALL, self, args[0], args[1], 0);
    }
    return behind(state, self, NAME(state, sock_sendall), args, count, keywords);
}

PyDoc_STRVAR(accept_doc, "sock_accept($self, sock)\n--\n\nAccept a connection; asyncio's method of the name.");

static PyObject *sock_accept(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    if (state == NULL) {
        return NULL;
    }
    if (count == 1 && keywords == NULL && is_plain(state, args[0], NULL, NULL)) {
        return socket_operation_new(state, SOCKET_ACCEPT, self, args[0], NULL, 0);
    }
    return behind(state, self, NAME(state, sock_accept), args, count, keywords);
}

#define METHOD(name, doc)                                                                                                        \
    {                                                                                                                            \
#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL | METH_KEYWORDS, doc                                             \
    }

static PyMethodDef methods[] = {
    METHOD(sock_recv, recv_doc),
    METHOD(sock_recv_into, recv_into_doc),
    METHOD(sock_sendall, sendall_doc),
    METHOD(sock_accept, accept_doc),
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(doc, "sock_recv() and its kin of an event loop that has asyncio.SelectorEventLoop behind it.");

static PyType_Slot slots[] = {
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)doc},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "tornadoc._native.SocketOperations",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};

int loop_sock_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &spec, &state->loop_sock_type);
}
