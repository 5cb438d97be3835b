/* See websocket.h. */
#include "websocket.h"

#include <string.h>

#include "guard.h"
#include "stream.h"

#include "core/websocket.h"

#define FAULT (-1) /* in the place of a frame's first byte */

/* Does nobody override or patch a method that is done without here? */
static bool is_plain(struct native_state *state, PyObject *protocol)
{
    return guard_type_mask(state, GUARD_WEBSOCKET, Py_TYPE(protocol)) == 0;
}

/* Is the object's method the one that its class has? 1, 0, or -1 with an exception. */
static int has_own_method(PyObject *object, PyObject *name)
{
    PyObject *method = PyObject_GetAttr(object, name);
    if (method == NULL) {
        return -1;
    }
    bool own = PyMethod_Check(method) && PyMethod_GET_FUNCTION(method) == _PyType_Lookup(Py_TYPE(object), name);
    Py_DECREF(method);
    return own;
}

/* Can its input be taken as it is? */
static bool is_free(const StreamObject *stream)
{
    return !stream->general && !stream_is_set(stream->read_future) && stream->user_buffer == NULL && stream->direct == NULL;
}

/* The stream, if its input can be taken here; NULL if it has to be read by its methods. *failed: an exception is set. */
static StreamObject *plain_stream(struct native_state *state, PyObject *protocol, bool *failed)
{
    PyObject *object = PyObject_GetAttr(protocol, NAME(state, stream));
    *failed = object == NULL;
    if (object == NULL) {
        return NULL;
    }
    StreamObject *stream = (StreamObject *)object;
    PyObject *name = NAME(state, read_bytes);
    bool plain = PyObject_TypeCheck(object, state->stream_type) && !stream->general &&
                 _PyType_Lookup(Py_TYPE(object), name) == _PyType_Lookup(state->stream_type, name) &&
                 (stream->dict == NULL || PyDict_GetItemWithError(stream->dict, name) == NULL) && !PyErr_Occurred();
    if (plain) {
        int fast = stream_enter(stream);
        *failed = fast < 0;
        plain = fast == 1 && is_free(stream);
    }
    else {
        *failed = PyErr_Occurred() != NULL;
    }
    if (!plain) {
        Py_DECREF(object);
        return NULL;
    }
    return stream;
}

/* The most that a message may have, less what there is of it. Tornado takes what can be compared with an int. 0 or -1. */
static int find_room(PyObject *limit, Py_ssize_t used, int64_t *room)
{
    long long most;
    if (!PyLong_Check(limit)) {
        PyObject *zero = PyLong_FromLong(0);
        PyObject *larger = zero ? PyObject_RichCompare(zero, limit, Py_GT) : NULL;
        Py_XDECREF(zero);
        if (larger == NULL) {
            return -1;
        }
        Py_DECREF(larger);
        double number = PyFloat_AsDouble(limit);
        if (number == -1 && PyErr_Occurred()) {
            return -1;
        }
        most = !(number < 9.2e18) ? LLONG_MAX : number < 0 ? -1 : (long long)number;
    }
    else {
        int overflow;
        most = PyLong_AsLongLongAndOverflow(limit, &overflow);
        if (most == -1 && PyErr_Occurred()) {
            return -1;
        }
        most = overflow > 0 ? LLONG_MAX : overflow < 0 ? -1 : most;
    }
    *room = most < used ? -1 : most - used;
    return 0;
}

/* What of a protocol object decides about its next frame. 0 or -1. */
static int find_state(struct native_state *state, PyObject *protocol, struct td_websocket_state *found)
{
    PyObject *params = PyObject_GetAttr(protocol, NAME(state, params));
    PyObject *limit = params ? PyObject_GetAttr(params, NAME(state, max_message_size)) : NULL;
    PyObject *decompressor = limit ? PyObject_GetAttr(protocol, NAME(state, _decompressor)) : NULL;
    PyObject *begun = decompressor ? PyObject_GetAttr(protocol, NAME(state, _fragmented_message_buffer)) : NULL;
    int status = -1;
    if (begun != NULL) {
        found->compression = decompressor != Py_None;
        found->in_message = begun != Py_None;
        Py_ssize_t used = found->in_message ? PyObject_Size(begun) : 0;
        status = used < 0 ? -1 : find_room(limit, used, &found->room);
    }
    Py_XDECREF(params);
    Py_XDECREF(limit);
    Py_XDECREF(decompressor);
    Py_XDECREF(begun);
    return status;
}

static PyObject *fault_of(enum td_websocket_fault fault)
{
    return Py_BuildValue("i(is)n", FAULT, td_websocket_close_code(fault), td_websocket_reason(fault), (Py_ssize_t)0);
}

/* -- taking -- */

/* The whole frame that starts with len bytes (of a read before) and goes on in the stream's input. New reference; None if not all
 * of it is there. */
static PyObject *take(struct native_state *state, PyObject *protocol, StreamObject *stream, const char *before, size_t len)
{
    if (len + stream->in.len < 2) {
        if (stream->source.fd >= 0 && !stream->closed) {
            /* The read that follows need not ask the kernel for what the loop has not reported. */
            stream->io_state |= STREAM_READ;
        }
        Py_RETURN_NONE;
    }
    struct td_websocket_state rules;
    if (find_state(state, protocol, &rules) < 0) {
        return NULL;
    }
    if (!is_free(stream)) {
        Py_RETURN_NONE;
    }
    /* From here to the end of the input's use nothing calls Python. */
    char start[TD_WEBSOCKET_HEAD_MAX];
    size_t available = stream->in.len;
    size_t more = available < sizeof(start) - len ? available : sizeof(start) - len;
    memcpy(start, before, len);
    if (more > 0) {
        memcpy(start + len, td_inbuf_data(&stream->in), more);
    }
    struct td_websocket_head head;
    enum td_websocket_fault fault;
    enum td_status status = td_websocket_read_head(start, len + more, &rules, &head, &fault);
    if (status == TD_BAD || status == TD_TOO_LARGE) {
        return fault_of(fault);
    }
    size_t skipped = head.size - len; /* of the input: a head is longer than what was read before */
    if (status == TD_PARTIAL || available - skipped < head.len) {
        Py_RETURN_NONE;
    }
    size_t size = (size_t)head.len;
    PyObject *payload = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (payload == NULL) {
        return NULL;
    }
    if (size > 0) {
        td_websocket_mask(PyBytes_AS_STRING(payload), td_inbuf_data(&stream->in) + skipped, size, head.mask);
    }
    if (stream_skip(stream, skipped + size) < 0) {
        Py_DECREF(payload);
        return NULL;
    }
    return Py_BuildValue("iNn", (int)head.first, payload, (Py_ssize_t)(skipped + size));
}

PyDoc_STRVAR(
    take_doc,
    "websocket_take(protocol, start, /)\n--\n\nTake a frame out of the input of a protocol's stream: its first byte, its "
    "payload, and how much of the input it was. start: what was read of it already, nothing or two bytes. A fault has -1 "
    "as its first byte and (code, reason) as its payload. None if the frame is not there, or has to be read by the "
    "stream's methods; NotImplemented if the protocol's methods are not those that are known.");

static PyObject *websocket_take(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct native_state *state = PyModule_GetState(module);
    if (count != 2 || !PyBytes_Check(args[1]) || PyBytes_GET_SIZE(args[1]) > 2) {
        PyErr_SetString(PyExc_TypeError, "websocket_take() takes a protocol and up to two bytes");
        return NULL;
    }
    int own = is_plain(state, args[0]) ? has_own_method(args[0], NAME(state, _read_bytes)) : 0;
    if (own <= 0) {
        return own < 0 ? NULL : Py_NewRef(Py_NotImplemented);
    }
    bool failed;
    StreamObject *stream = plain_stream(state, args[0], &failed);
    if (stream == NULL) {
        return failed ? NULL : Py_NewRef(Py_None);
    }
    PyObject *result = take(state, args[0], stream, PyBytes_AS_STRING(args[1]), (size_t)PyBytes_GET_SIZE(args[1]));
    Py_DECREF(stream);
    return result;
}

PyDoc_STRVAR(
    head_doc,
    "websocket_head(protocol, data, /)\n--\n\nRead the head of a client's frame: a number, of bytes that are missing, or "
    "its first byte, the length of the payload, and the mask. A fault as from websocket_take().");

static PyObject *websocket_head(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "websocket_head() takes a protocol and bytes");
        return NULL;
    }
    struct td_websocket_state rules;
    if (find_state(PyModule_GetState(module), args[0], &rules) < 0) {
        return NULL;
    }
    struct td_websocket_head head;
    enum td_websocket_fault fault;
    size_t len = (size_t)PyBytes_GET_SIZE(args[1]);
    enum td_status status = td_websocket_read_head(PyBytes_AS_STRING(args[1]), len, &rules, &head, &fault);
    if (status == TD_PARTIAL) {
        return PyLong_FromSize_t(head.size - len);
    }
    if (status != TD_OK) {
        return fault_of(fault);
    }
    return Py_BuildValue("iKy#", (int)head.first, (unsigned long long)head.len, (const char *)head.mask,
                         (Py_ssize_t)sizeof(head.mask));
}

PyDoc_STRVAR(unmask_doc, "websocket_unmask(mask, data, /)\n--\n\nThe bytes behind a mask of four bytes.");

static PyObject *websocket_unmask(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(args[0]) || PyBytes_GET_SIZE(args[0]) != 4 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "websocket_unmask() takes four bytes, and bytes");
        return NULL;
    }
    Py_ssize_t len = PyBytes_GET_SIZE(args[1]);
    PyObject *result = PyBytes_FromStringAndSize(NULL, len);
    if (result != NULL) {
        td_websocket_mask(PyBytes_AS_STRING(result), PyBytes_AS_STRING(args[1]), (size_t)len,
                          (const uint8_t *)PyBytes_AS_STRING(args[0]));
    }
    return result;
}

/* -- making -- */

PyDoc_STRVAR(frame_doc, "websocket_frame(first, data, /)\n--\n\nAn unmasked frame with that first byte.");

static PyObject *websocket_frame(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    long first = count == 2 && PyLong_Check(args[0]) ? PyLong_AsLong(args[0]) : -1;
    if (first < 0 || first > 255 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "websocket_frame() takes a byte's value, and bytes");
        return NULL;
    }
    char head[TD_WEBSOCKET_HEAD_MAX];
    size_t len = (size_t)PyBytes_GET_SIZE(args[1]);
    size_t size = td_websocket_write_head(head, (uint8_t)first, len);
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(size + len));
    if (result != NULL) {
        memcpy(PyBytes_AS_STRING(result), head, size);
        memcpy(PyBytes_AS_STRING(result) + size, PyBytes_AS_STRING(args[1]), len);
    }
    return result;
}

PyDoc_STRVAR(
    is_plain_doc,
    "websocket_is_plain(protocol, /)\n--\n\nAre the methods of a protocol's class, and those of Tornado's behind it, the "
    "ones that are known?");

static PyObject *websocket_is_plain(PyObject *module, PyObject *protocol)
{
    return PyBool_FromLong(is_plain(PyModule_GetState(module), protocol));
}

static PyMethodDef websocket_functions[] = {
    {"websocket_take", (PyCFunction)(void (*)(void))websocket_take, METH_FASTCALL, take_doc},
    {"websocket_head", (PyCFunction)(void (*)(void))websocket_head, METH_FASTCALL, head_doc},
    {"websocket_unmask", (PyCFunction)(void (*)(void))websocket_unmask, METH_FASTCALL, unmask_doc},
    {"websocket_frame", (PyCFunction)(void (*)(void))websocket_frame, METH_FASTCALL, frame_doc},
    {"websocket_is_plain", websocket_is_plain, METH_O, is_plain_doc},
    {NULL, NULL, 0, NULL},
};

int websocket_add(PyObject *module)
{
    return PyModule_AddFunctions(module, websocket_functions);
}
