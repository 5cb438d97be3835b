/* See request.h: arguments, of the query string and of forms. Follows HTTPServerRequest.__init__ and _parse_body. */
#include "request.h"

#include "convert.h"
#include "guard.h"
#include "headers.h"

#include "core/http_form.h"

/* -- who parses -- */

/* Are the functions that Tornado would parse a query with its own? */
static bool is_plain(struct native_state *state)
{
    /* None: somebody had replaced one before tornadoc came. */
    PyObject *functions = BOUND(state, query_functions);
    return PyTuple_CheckExact(functions) && guard_names_hold(functions);
}

/* httputil._DEFAULT_PARSE_BODY_CONFIG.urlencoded.max_arguments. False if that is not there or no number of fields. */
static bool read_limit(struct native_state *state, size_t *limit)
{
    PyObject *globals = PyModule_GetDict(BOUND(state, httputil));
    PyObject *config = Py_XNewRef(PyDict_GetItemWithError(globals, NAME(state, _DEFAULT_PARSE_BODY_CONFIG)));
    PyObject *urlencoded = config ? PyObject_GetAttr(config, NAME(state, urlencoded)) : NULL;
    PyObject *number = urlencoded ? PyObject_GetAttr(urlencoded, NAME(state, max_arguments)) : NULL;
    bool known = number == Py_None || (number != NULL && PyLong_CheckExact(number));
    if (known) {
        *limit = number == Py_None ? SIZE_MAX : PyLong_AsSize_t(number);
    }
    if (PyErr_Occurred()) {
        PyErr_Clear();
        known = false;
    }
    Py_XDECREF(config);
    Py_XDECREF(urlencoded);
    Py_XDECREF(number);
    return known;
}

bool request_has_plain_body_parser(struct native_state *state)
{
    PyObject *globals = PyModule_GetDict(BOUND(state, httputil));
    PyObject *found = PyDict_GetItemWithError(globals, NAME(state, parse_body_arguments));
    return found != NULL && found == BOUND(state, parse_body_arguments);
}

/* May the fields be parsed here? Not if there are too many: the exception is Tornado's. */
static bool may_parse(struct native_state *state, struct td_span text)
{
    size_t limit = 0;
    return is_plain(state) && read_limit(state, &limit) && td_form_count(text) <= limit;
}

/* -- parsing -- */

/* arguments.setdefault(name, []).append(value). 0 or -1. */
static int add_value(PyObject *arguments, PyObject *name, PyObject *value)
{
    PyObject *values = PyDict_GetItemWithError(arguments, name);
    if (values != NULL) {
        return PyList_Append(values, value);
    }
    if (PyErr_Occurred() || (values = PyList_New(1)) == NULL) {
        return -1;
    }
    PyList_SET_ITEM(values, 0, Py_NewRef(value));
    int status = PyDict_SetItem(arguments, name, values);
    Py_DECREF(values);
    return status;
}

static int add_field(PyObject *arguments, struct td_span name, struct td_span value, char *scratch)
{
    PyObject *key = convert_latin1(td_form_decoded(name, scratch));
    struct td_span decoded = td_form_decoded(value, scratch);
    PyObject *bytes = key ? PyBytes_FromStringAndSize(decoded.data, (Py_ssize_t)decoded.len) : NULL;
    int status = bytes ? add_value(arguments, key, bytes) : -1;
    Py_XDECREF(key);
    Py_XDECREF(bytes);
    return status;
}

/* parse_qs_bytes(text, keep_blank_values=True) without a limit. New reference to a dict of str to lists of bytes, or NULL. */
static PyObject *parse(struct td_span text)
{
    PyObject *arguments = PyDict_New();
    char small[512];
    char *scratch = text.len <= sizeof(small) ? small : PyMem_Malloc(text.len);
    if (scratch == NULL) {
        PyErr_NoMemory();
        Py_CLEAR(arguments);
    }
    struct td_span name, value;
    while (arguments != NULL && td_form_next(&text, &name, &value)) {
        if (add_field(arguments, name, value, scratch) < 0) {
            Py_CLEAR(arguments);
        }
    }
    if (scratch != small) {
        PyMem_Free(scratch);
    }
    return arguments;
}

/* -- the query string -- */

/* Has Tornado's functions, or what stands in their place, make arguments and query_arguments. 0 or -1. */
static int parse_in_python(RequestObject *self, struct td_span query)
{
    PyObject *text = convert_latin1(query);
    PyObject *both = text ? PyObject_CallOneArg(BOUND(self->state, parse_query), text) : NULL;
    Py_XDECREF(text);
    if (both == NULL) {
        return -1;
    }
    static const enum request_slot slots[] = {REQUEST_arguments, REQUEST_query_arguments};
    for (int i = 0; i < 2; i++) {
        if (self->slots[slots[i]] == NULL) {
            self->slots[slots[i]] = Py_NewRef(PyTuple_GET_ITEM(both, i));
        }
    }
    Py_DECREF(both);
    return 0;
}

int request_check_query(RequestObject *self)
{
    struct td_span query = request_query_span(self->head);
    return may_parse(self->state, query) ? 0 : parse_in_python(self, query);
}

bool request_unparsed_query(RequestObject *self, enum request_slot slot, struct td_span *query)
{
    if (self->slots[slot] != NULL || self->head == NULL || self->deleted != 0 || slot == REQUEST_body_arguments) {
        return false;
    }
    *query = request_query_span(self->head);
    return query->len > 0;
}

PyObject *request_make_arguments(RequestObject *self, enum request_slot slot)
{
    struct td_span query = request_query_span(self->head);
    /* Of one that is not empty request_check_query has seen that it may be parsed here, or these attributes are made. */
    if (query.len > 0 || is_plain(self->state)) {
        return parse(query);
    }
    return parse_in_python(self, query) < 0 ? NULL : Py_XNewRef(self->slots[slot]);
}

/* -- forms -- */

static bool is_url_encoded(struct td_span content_type)
{
    static const char url_encoded[] = "application/x-www-form-urlencoded";
    size_t len = sizeof(url_encoded) - 1;
    return content_type.len >= len && memcmp(content_type.data, url_encoded, len) == 0;
}

/* Do the headers tell of a form in this encoding, and of no other coding? */
static bool has_url_encoded_body(RequestObject *self)
{
    struct native_state *state = self->state;
    PyObject *headers = self->slots[REQUEST_headers];
    if (headers == NULL) {
        const struct td_field *field = td_head_find(self->head, "content-type");
        return field != NULL && is_url_encoded(td_field_value(self->head, field)) &&
               td_head_find(self->head, "content-encoding") == NULL;
    }
    struct td_span span;
    if (!headers_is_plain(state, headers)) {
        return false;
    }
    PyObject *value = headers_get_normal((HeadersObject *)headers, TEXT(state, content_type));
    bool found = value != NULL && convert_latin1_span(value, &span) && is_url_encoded(span) &&
                 headers_contains_normal((HeadersObject *)headers, TEXT(state, content_encoding)) == 0;
    PyErr_Clear();
    return found;
}

/* Adds the values of a form to arguments: dicts that only this file has. 0 or -1. */
static int merge(PyObject *arguments, PyObject *form)
{
    Py_ssize_t position = 0;
    PyObject *name, *values;
    while (PyDict_Next(form, &position, &name, &values)) {
        PyObject *present = PyDict_GetItemWithError(arguments, name);
        if (present != NULL) {
            Py_ssize_t end = PyList_GET_SIZE(present);
            if (PyList_SetSlice(present, end, end, values) < 0) {
                return -1;
            }
            continue;
        }
        PyObject *copy = PyErr_Occurred() ? NULL : PyList_GetSlice(values, 0, PyList_GET_SIZE(values));
        int status = copy ? PyDict_SetItem(arguments, name, copy) : -1;
        Py_XDECREF(copy);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

int request_parse_form(RequestObject *self)
{
    struct native_state *state = self->state;
    PyObject *body = self->slots[REQUEST_body];
    /* Where the program has looked at arguments, there is more to it. */
    if (body == NULL || !PyBytes_CheckExact(body) || PyBytes_GET_SIZE(body) == 0 || self->slots[REQUEST_arguments] != NULL ||
        !has_url_encoded_body(self) || !may_parse(state, convert_bytes_span(body))) {
        return 0;
    }
    Py_INCREF(body);
    PyObject *form = parse(convert_bytes_span(body));
    PyObject *arguments = form ? request_make_arguments(self, REQUEST_arguments) : NULL;
    int status = arguments && merge(arguments, form) == 0 ? 1 : -1;
    if (status > 0) {
        Py_XSETREF(self->slots[REQUEST_body_arguments], Py_NewRef(form));
        Py_XSETREF(self->slots[REQUEST_arguments], Py_NewRef(arguments));
    }
    Py_XDECREF(form);
    Py_XDECREF(arguments);
    Py_DECREF(body);
    return status;
}
