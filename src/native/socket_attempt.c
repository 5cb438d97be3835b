/* See socket_operation.h: the system calls. */
#include "socket_operation.h"

#include <errno.h>
#include <sys/socket.h>

#define STACK_ROOM 16384 /* bytes received by way of the stack: a copy of so much costs less than shrinking an object */

static enum socket_outcome failed(void)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return OUTCOME_AGAIN;
    }
    PyErr_SetFromErrno(PyExc_OSError);
    return OUTCOME_FAILED;
}

static ssize_t receive(int fd, void *data, size_t len)
{
    ssize_t count;
    do {
        count = recv(fd, data, len, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    return count;
}

static enum socket_outcome try_recv(const SocketOperationObject *self, PyObject **result)
{
    if (self->position <= STACK_ROOM) {
        char room[STACK_ROOM];
        ssize_t count = receive(self->fd, room, (size_t)self->position);
        if (count < 0) {
            return failed();
        }
        *result = PyBytes_FromStringAndSize(room, count);
        return *result ? OUTCOME_DONE : OUTCOME_FAILED;
    }
    *result = PyBytes_FromStringAndSize(NULL, self->position);
    if (*result == NULL) {
        return OUTCOME_FAILED;
    }
    ssize_t count = receive(self->fd, PyBytes_AS_STRING(*result), (size_t)self->position);
    if (count < 0) {
        int error = errno;
        Py_CLEAR(*result);
        errno = error;
        return failed();
    }
    if (count < self->position && _PyBytes_Resize(result, count) < 0) {
        return OUTCOME_FAILED;
    }
    return OUTCOME_DONE;
}

static enum socket_outcome try_recv_into(const SocketOperationObject *self, PyObject **result)
{
    ssize_t count = receive(self->fd, self->view.buf, (size_t)self->view.len);
    if (count < 0) {
        return failed();
    }
    *result = PyLong_FromSsize_t(count);
    return *result ? OUTCOME_DONE : OUTCOME_FAILED;
}

static enum socket_outcome try_sendall(SocketOperationObject *self, PyObject **result)
{
    do {
        const char *rest = (const char *)self->view.buf + self->position;
        size_t len = (size_t)(self->view.len - self->position);
        ssize_t count = send(self->fd, rest, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0) {
            self->position += count;
            if ((size_t)count < len) {
                /* The kernel is full, and tells when it is not. */
                return OUTCOME_AGAIN;
            }
        }
        else if (errno != EINTR) {
            return failed();
        }
    } while (self->position < self->view.len);
    *result = Py_NewRef(Py_None);
    return OUTCOME_DONE;
}

static enum socket_outcome try_accept(const SocketOperationObject *self, PyObject **result)
{
    PyObject *sock = Py_NewRef(self->sock);
    PyObject *pair = PyObject_CallMethodNoArgs(sock, NAME(self->state, accept));
    Py_DECREF(sock);
    if (pair == NULL) {
        if (PyErr_ExceptionMatches(PyExc_BlockingIOError) || PyErr_ExceptionMatches(PyExc_InterruptedError)) {
            PyErr_Clear();
            return OUTCOME_AGAIN;
        }
        return OUTCOME_FAILED;
    }
    PyObject *done = NULL;
    if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2) {
        done = PyObject_CallMethodOneArg(PyTuple_GET_ITEM(pair, 0), NAME(self->state, setblocking), Py_False);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "accept() did not return a pair");
    }
    if (done == NULL) {
        Py_DECREF(pair);
        return OUTCOME_FAILED;
    }
    Py_DECREF(done);
    *result = pair;
    return OUTCOME_DONE;
}

/* The socket's descriptor; -1 once it is closed, or with an exception. */
static int current_fd(const SocketOperationObject *self)
{
    PyObject *number = PyObject_CallMethodNoArgs(self->sock, NAME(self->state, fileno));
    long fd = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    return (int)fd;
}

enum socket_outcome socket_operation_attempt(SocketOperationObject *self, PyObject **result)
{
    int fd = current_fd(self);
    if (PyErr_Occurred()) {
        return OUTCOME_FAILED;
    }
    if (fd < 0 || (self->phase == OPERATION_WAITING && fd != self->fd)) {
        errno = EBADF;
        return failed();
    }
    self->fd = fd;
    switch (self->action) {
    case SOCKET_RECV:
        return try_recv(self, result);
    case SOCKET_RECV_INTO:
        return try_recv_into(self, result);
    case SOCKET_SENDALL:
        return try_sendall(self, result);
    default:
        return try_accept(self, result);
    }
}
