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
    if (text == Py_None) {
        PyErr_SetString(PyExc_TypeError, "can only concatenate str (not \"NoneType\") to str");
        return NULL;
    }
    if (!PyUnicode_Check(text)) {
        return PyErr_Format(PyExc_TypeError, "Expected bytes, unicode, or None; got %R", Py_TYPE(text));
    }
    return PyUnicode_AsLatin1String(text);
}

static bool has_line_end(struct td_span span)
{
    return memchr(span.data, '\r', span.len) != NULL || memchr(span.data, '\n', span.len) != NULL;
}

/* A header's line as Tornado encodes it. New reference or NULL. */
static PyObject *encode_line(PyObject *name, PyObject *value)
{
    PyObject *line = PyUnicode_FromFormat("%S: %S", name, value);
    PyObject *bytes = line ? PyUnicode_AsLatin1String(line) : NULL;
    Py_XDECREF(line);
    return bytes;
}

/* Of an encoded line of a head, which it steals; NULL: there is an exception already. */
static int raise_line_end(PyObject *bytes)
{
    if (bytes != NULL) {
        PyErr_Format(PyExc_ValueError, "Illegal characters (CR or LF) in header: %R", bytes);
    }
    Py_XDECREF(bytes);
    return -1;
}

/* The pending error of encoding a part becomes that of the whole line, which is what Tornado encodes. */
static void raise_not_latin1(PyObject *name, PyObject *value)
{
    PyErr_Clear();
    Py_XDECREF(encode_line(name, value));
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
        status = has_line_end(spans[0]) || has_line_end(spans[1]) ? raise_line_end(encode_line(name, value)) : 0;
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

/* Of plain headers, or of the pairs of others. */
static int head_lines(ServerConnectionObject *connection, PyObject *headers, PyObject *pairs, bool write)
{
    return pairs == NULL ? head_lines_plain(connection, (HeadersObject *)headers, write)
                         : head_lines_pairs(connection, pairs, write);
}

/* A head of any size whose lines were checked. 0 or -1. */
static int put_head(ServerConnectionObject *connection, int code, struct td_span reason, PyObject *headers, PyObject *pairs)
{
    if (td_response_status_line(&connection->out, code, reason) != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    if (head_lines(connection, headers, pairs, true) < 0) {
        return -1;
    }
    if (td_outbuf_append(&connection->out, "\r\n", 2) != TD_OK) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

#define MAX_LINES 32

/* The lines of headers that are the usual ones: single values, latin-1, without line ends. They are borrowed from the headers.
 * False, without an exception: there are others, or more. */
static bool gather_lines(HeadersObject *headers, struct td_line *lines, size_t *count)
{
    PyObject *map = headers->map;
    if (map == NULL || PyDict_GET_SIZE(map) > MAX_LINES) {
        return false;
    }
    Py_ssize_t position = 0;
    PyObject *name, *value;
    *count = 0;
    while (PyDict_Next(map, &position, &name, &value)) {
        struct td_line *line = &lines[*count];
        if (!convert_latin1_span(name, &line->name) || !convert_latin1_span(value, &line->value) || has_line_end(line->name) ||
            has_line_end(line->value)) {
            return false;
        }
        ++*count;
    }
    return true;
}

/* The number that a Content-Length says, INT64_MAX for any beyond it: -2 with an exception. */
static int64_t length_of(PyObject *value)
{
    struct td_span span;
    bool digits = convert_latin1_span(value, &span) && span.len > 0;
    int64_t length = 0;
    for (size_t i = 0; digits && i < span.len; i++) {
        digits = span.data[i] >= '0' && span.data[i] <= '9';
        length = i < 18 ? length * 10 + (span.data[i] - '0') : 0;
    }
    if (!digits) {
        PyErr_Format(PyExc_ValueError, "not an integer: %R", value);
        return -2;
    }
    if (span.len <= 18) {
        return length;
    }
    PyObject *number = PyLong_FromUnicodeObject(value, 10);
    if (number == NULL) {
        return -2; /* Python converts no more than 4300 digits. */
    }
    int overflow;
    length = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    return overflow ? INT64_MAX : length;
}

/* The Content-Length that the headers declare: -1 without one, -2 with an exception. */
static int64_t declared_length(struct native_state *state, PyObject *headers, bool plain)
{
    PyObject *name = TEXT(state, content_length);
    PyObject *value;
    if (plain) {
        value = Py_XNewRef(headers_get_normal((HeadersObject *)headers, name));
        if (value == NULL && !PyErr_Occurred()) {
            return -1;
        }
    }
    else {
        int found = PySequence_Contains(headers, name);
        if (found == 0) {
            return -1;
        }
        value = found > 0 ? PyObject_GetItem(headers, name) : NULL;
    }
    int64_t length = value ? length_of(value) : -2;
    Py_XDECREF(value);
    return length;
}

/* For answers without a body, where the value means nothing: 0 if there is one, else as above. */
static int64_t declared(struct native_state *state, PyObject *headers)
{
    int found = PySequence_Contains(headers, TEXT(state, content_length));
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
    if ((connection->version_1_1 && !connection->keep_alive &&
         PyObject_SetItem(headers, TEXT(state, connection), TEXT(state, close)) < 0) ||
        (connection->echo_keep_alive && PyObject_SetItem(headers, TEXT(state, connection), TEXT(state, keep_alive)) < 0)) {
        return -1;
    }
    bool plain = headers_is_plain(state, headers);
    int64_t length = connection->head_method || code == 304 ? declared(state, headers) : declared_length(state, headers, plain);
    if (length == -2) {
        return -1;
    }
    conn_start_answer(connection, (int)code, length);
    if (connection->chunking) {
        if (PyObject_SetItem(headers, TEXT(state, transfer_encoding), TEXT(state, chunked)) < 0) {
            return -1;
        }
        plain = headers_is_plain(state, headers);
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
        PyObject *line = PyUnicode_FromFormat("HTTP/1.1 %ld %S", code, reason);
        raise_line_end(line ? PyUnicode_AsUTF8String(line) : NULL);
        Py_XDECREF(line);
        goto done;
    }
    struct td_line lines[MAX_LINES];
    size_t count = 0;
    bool simple = plain && gather_lines((HeadersObject *)headers, lines, &count);
    if (!plain) {
        pairs = all_pairs(headers);
        if (pairs == NULL) {
            goto done;
        }
    }
    if (!simple && head_lines(connection, headers, pairs, false) < 0) {
        goto done;
    }
    if (connection->phase == CONN_CLOSED) {
        status = 0;
        goto done;
    }
    if (chunk != NULL && conn_check_chunk(connection, chunk) < 0) {
        goto done;
    }
    /* Nothing has run since the lines were gathered that could have changed the headers. */
    if (simple) {
        if (td_response_head(&connection->out, (int)code, reason_span, lines, count) != TD_OK) {
            PyErr_NoMemory();
            goto done;
        }
    }
    else if (put_head(connection, (int)code, reason_span, headers, pairs) < 0) {
        goto done;
    }
    status = chunk != NULL ? conn_put_chunk(connection, chunk) : 0;
done:
    Py_XDECREF(pairs);
    Py_XDECREF(reason_bytes);
    return status;
}
