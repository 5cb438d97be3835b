/* HTTPServer: connections that come as streams, from Python code that accepts or makes them itself (HTTPConnection of Tornado 2).
 */
#include "server_take.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "engine.h"

PyDoc_STRVAR(
    serve_doc,
    "_serve($self, engine, fd, address, stream, /)\n--\n\nServe a connected socket, whose descriptor is the server's from "
    "now on. address: of its peer, as socket.accept() gives it. stream: the stand-in for connection.stream. "
    "Returns the connection; None: it could not be watched, which is logged.");

static PyObject *server_serve(ServerObject *self, PyObject *args)
{
    struct native_state *state = native_state_of(Py_TYPE(self));
    PyObject *engine, *address, *stream;
    int fd;
    if (state == NULL ||
        !PyArg_ParseTuple(args, "O!iOO!:_serve", state->engine_type, &engine, &fd, &address, state->stream_type, &stream)) {
        return NULL;
    }
    self->state = state;
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    memset(&peer, 0, sizeof(peer));
    bool inet = getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
    if (inet && !(PyTuple_Check(address) && PyTuple_GET_SIZE(address) > 0 && PyUnicode_Check(PyTuple_GET_ITEM(address, 0)))) {
        PyErr_SetString(PyExc_TypeError, "the address of a TCP connection is a tuple that starts with the host");
        goto fail;
    }
    if (self->context == NULL) {
        self->context = PyContext_CopyCurrent();
    }
    if (self->context == NULL || server_refresh(self) < 0) {
        goto fail;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return conn_take(self, (EngineObject *)engine, fd, inet ? (const struct sockaddr *)&peer : NULL, address, stream);
fail:
    close(fd);
    return NULL;
}

PyDoc_STRVAR(reread_doc, "_reread($self, /)\n--\n\nTake note of settings that were changed, for the next request.");

static PyObject *server_reread(ServerObject *self, PyObject *Py_UNUSED(ignored))
{
    if (self->state == NULL) {
        self->state = native_state_of(Py_TYPE(self));
    }
    return self->state == NULL || server_refresh(self) < 0 ? NULL : Py_NewRef(Py_None);
}

PyMethodDef server_take_methods[] = {
    {"_serve", (PyCFunction)server_serve, METH_VARARGS, serve_doc},
    {"_reread", (PyCFunction)server_reread, METH_NOARGS, reread_doc},
    {NULL, NULL, 0, NULL},
};
