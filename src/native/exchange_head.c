/* See exchange.h: the head of an answer from any headers object. */
#include "exchange.h"

#include "convert.h"
#include "headers.h"

#include "core/http_response.h"
#include "core/http_rules.h"

/* A header's name or value as latin-1 bytes. str without a copy; bytes are taken as UTF-8 text, as native_str does. */
static PyObject *latin1_bytes(PyObject *text)
{
    if (PyBytes_Check(text)) {
        PyObject *decoded = PyUnicode_FromEncodedObject(text, "utf-8", NULL);
        PyObject *encoded = decoded ? PyUnicode_AsLatin1String(decoded) : NULL;
        Py_XDECREF(decoded);
        return encoded;
    }
    return PyUnicode_AsLatin1String(text);
}

static bool has_line_end(struct td_span span)
{
    return memchr(span.data, '\r', span.len) != NULL || memchr(span.data, '\n', span.len) != NULL;
}

static int raise_line_end(PyObject *name, PyObject *value)
{
    PyObject *line = PyUnicode_FromFormat("%S: %S", name, value);
    PyObject *bytes = line ? PyUnicode_AsLatin1String(line) : NULL;
    if (bytes != NULL) {
        PyErr_Format(PyExc_ValueError, "Illegal characters (CR or LF) in header: %R", bytes);
    }
    Py_XDECREF(line);
    Py_XDECREF(bytes);
    return -1;
}

/* The pending error of encoding a part becomes that of the whole line, which is what Tornado encodes. */
static void raise_not_latin1(PyObject *name, PyObject *value)
{
    PyErr_Clear();
    PyObject *line = PyUnicode_FromFormat("%S: %S", name, value);
    PyObject *bytes = line ? PyUnicode_AsLatin1String(line) : NULL;
    Py_XDECREF(bytes);
    Py_XDECREF(line);
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "header is not latin-1");
    }
}

/* Writes a line, or only checks it: a bad line must leave nothing behind. */
static int head_line(ServerConnectionObject *connection, PyObject *name, PyObject *value, bool write)
{
    struct td_span spans[2];
    PyObject *objects[2] = {name, value};
    PyObject *held[2] = {NULL, NULL};
    int status = -1;
    for (int i = 0; i < 2; i++) {
        if (!convert_latin1_span(objects[i], &spans[i])) {
            held[i] = latin1_bytes(objects[i]);
            if (held[i] == NULL) {
                if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
                    raise_not_latin1(name, value);
                }
                goto done;
            }
            spans[i] = convert_bytes_span(held[i]);
        }
    }
    if (!write) {
        status = has_line_end(spans[0]) || has_line_end(spans[1]) ? raise_line_end(name, value) : 0;
    }
    else if (td_response_field(&connection->out, spans[0], spans[1]) == TD_OK) {
        status = 0;
    }
    else {
        PyErr_NoMemory();
    }
done:
    Py_XDECREF(held[0]);
    Py_XDECREF(held[1]);
    return status;
}

static int head_lines_of(ServerConnectionObject *connection, PyObject *name, PyObject *value, bool write)
{
    if (!PyList_CheckExact(value)) {
        return head_line(connection, name, value, write);
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++) {
        if (head_line(connection, name, PyList_GET_ITEM(value, i), write) < 0) {
            return -1;
        }
    }
    return 0;
}

static int head_lines_plain(ServerConnectionObject *connection, HeadersObject *headers, bool write)
{
    PyObject *map = headers_map(headers);
    if (map == NULL) {
        return -1;
    }
    Py_ssize_t position = 0;
    PyObject *name, *value;
    while (PyDict_Next(map, &position, &name, &value)) {
        if (head_lines_of(connection, name, value, write) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The pairs of any other headers object, as a list. */
static PyObject *all_pairs(PyObject *headers)
{
    PyObject *iterator = PyObject_CallMethod(headers, "get_all", NULL);
    PyObject *pairs = iterator ? PySequence_List(iterator) : NULL;
    Py_XDECREF(iterator);
    return pairs;
}

static int head_lines_pairs(ServerConnectionObject *connection, PyObject *pairs, bool write)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PySequence_Fast(PyList_GET_ITEM(pairs, i), "get_all() must give pairs");
        if (pair == NULL) {
            return -1;
        }
        int status = -1;
        if (PySequence_Fast_GET_SIZE(pair) != 2) {
            PyErr_SetString(PyExc_ValueError, "get_all() must give pairs");
        }
        else {
            status = head_line(connection, PySequence_Fast_GET_ITEM(pair, 0), PySequence_Fast_GET_ITEM(pair, 1), write);
        }
        Py_DECREF(pair);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

static int set_item(PyObject *headers, const char *name, const char *value)
{
    PyObject *key = PyUnicode_InternFromString(name);
    PyObject *item = PyUnicode_FromString(value);
    int status = key != NULL && item != NULL ? PyObject_SetItem(headers, key, item) : -1;
    Py_XDECREF(key);
    Py_XDECREF(item);
    return status;
}

/* The Content-Length that the headers declare: -1 without one, -2 with an exception. */
static int64_t declared_length(PyObject *headers)
{
    PyObject *name = PyUnicode_InternFromString("Content-Length");
    PyObject *value = NULL;
    int64_t length = -2;
    int found = name ? PySequence_Contains(headers, name) : -1;
    if (found == 0) {
        length = -1;
    }
    else if (found > 0 && (value = PyObject_GetItem(headers, name)) != NULL) {
        struct td_span span;
        bool digits = convert_latin1_span(value, &span) && span.len > 0;
        for (size_t i = 0; digits && i < span.len; i++) {
            digits = span.data[i] >= '0' && span.data[i] <= '9';
        }
        PyObject *number = digits ? PyLong_FromUnicodeObject(value, 10) : NULL;
        if (number != NULL) {
            length = PyLong_AsLongLong(number);
            if (length == -1 && PyErr_Occurred()) {
                length = -2;
            }
            Py_DECREF(number);
        }
        else if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "not an integer: %R", value);
        }
    }
    Py_XDECREF(name);
    Py_XDECREF(value);
    return length;
}

/* For answers without a body, where the value means nothing: 0 if there is one, else as above. */
static int64_t declared(PyObject *headers)
{
    PyObject *name = PyUnicode_InternFromString("Content-Length");
    int found = name ? PySequence_Contains(headers, name) : -1;
    Py_XDECREF(name);
    return found < 0 ? -2 : found - 1;
}

int exchange_write_headers(ServerConnectionObject *connection, long code, PyObject *reason, PyObject *headers, PyObject *chunk)
{
    struct native_state *state = connection->state;
    PyObject *pairs = NULL;
    PyObject *reason_bytes = NULL;
    int status = -1;
    if (code == 101 && connection->version_1_1 && connection->server != NULL && !connection->server->no_keep_alive &&
        connection->head != NULL && td_rules_upgrades_and_closes(connection->head)) {
        /* What it says of HTTP is not about the protocol that the connection switches to. */
        connection->keep_alive = true;
    }
    if ((connection->version_1_1 && !connection->keep_alive && set_item(headers, "Connection", "close") < 0) ||
        (connection->echo_keep_alive && set_item(headers, "Connection", "Keep-Alive") < 0)) {
        return -1;
    }
    int64_t length = connection->head_method || code == 304 ? declared(headers) : declared_length(headers);
    if (length == -2) {
        return -1;
    }
    conn_start_answer(connection, (int)code, length);
    if (connection->chunking && set_item(headers, "Transfer-Encoding", "chunked") < 0) {
        return -1;
    }
    struct td_span reason_span;
    if (!PyUnicode_Check(reason) || !PyUnicode_IS_ASCII(reason) || !convert_latin1_span(reason, &reason_span)) {
        /* Tornado sends the start line as UTF-8. */
        reason_bytes = PyUnicode_Check(reason) ? PyUnicode_AsUTF8String(reason) : PyObject_Bytes(reason);
        if (reason_bytes == NULL) {
            return -1;
        }
        reason_span = convert_bytes_span(reason_bytes);
    }
    if (has_line_end(reason_span)) {
        PyErr_Format(PyExc_ValueError, "Illegal characters (CR or LF) in header: %R", reason);
        goto done;
    }
    bool plain = headers_is_plain(state, headers);
    if (!plain) {
        pairs = all_pairs(headers);
        if (pairs == NULL) {
            goto done;
        }
    }
    if ((plain ? head_lines_plain(connection, (HeadersObject *)headers, false) : head_lines_pairs(connection, pairs, false)) <
        0) {
        goto done;
    }
    if (connection->phase == CONN_CLOSED) {
        status = 0;
        goto done;
    }
    if (chunk != NULL && conn_check_chunk(connection, chunk) < 0) {
        goto done;
    }
    if (td_response_status_line(&connection->out, (int)code, reason_span) != TD_OK) {
        PyErr_NoMemory();
        goto done;
    }
    if ((plain ? head_lines_plain(connection, (HeadersObject *)headers, true) : head_lines_pairs(connection, pairs, true)) < 0) {
        goto done;
    }
    if (td_outbuf_append(&connection->out, "\r\n", 2) != TD_OK) {
        PyErr_NoMemory();
        goto done;
    }
    status = chunk != NULL ? conn_put_chunk(connection, chunk) : 0;
done:
    Py_XDECREF(pairs);
    Py_XDECREF(reason_bytes);
    return status;
}
