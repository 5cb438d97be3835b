/* What an HTTPHeaders holds: the undecoded head, then the dict (see headers_internal.h for the shape of its entries). */
#include "convert.h"
#include "headers_internal.h"

#define MAX_SCANNED_FIELDS 32 /* heads with more fields are decoded at the first look, so that many looks stay cheap */

static int append_decoded(PyObject *map, PyObject *name, PyObject *value)
{
    Py_ssize_t names_before = PyDict_GET_SIZE(map);
    PyObject *entry = PyDict_SetDefault(map, name, value);
    if (entry == NULL) {
        return -1;
    }
    if (PyDict_GET_SIZE(map) != names_before) {
        return 0;
    }
    if (PyList_CheckExact(entry)) {
        return PyList_Append(entry, value);
    }
    PyObject *list = Py_BuildValue("[OO]", entry, value);
    int status = list != NULL ? PyDict_SetItem(map, name, list) : -1;
    Py_XDECREF(list);
    return status;
}

static PyObject *decode_head(struct native_state *state, const struct td_head *head)
{
    PyObject *map = PyDict_New();
    for (uint32_t i = 0; map != NULL && i < head->field_count; i++) {
        PyObject *name = convert_latin1(td_field_name(head, &head->fields[i]));
        PyObject *value = convert_latin1(td_field_value(head, &head->fields[i]));
        if (name != NULL) {
            Py_SETREF(name, headers_normalize(state, name));
        }
        if (name == NULL || value == NULL || append_decoded(map, name, value) < 0) {
            Py_CLEAR(map);
        }
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return map;
}

PyObject *headers_map(HeadersObject *self)
{
    if (self->map != NULL) {
        return self->map;
    }
    if (self->head == NULL) {
        return native_fill(&self->map, PyDict_New());
    }
    /* Allocation may run the collector, and with it code that looks at this object: who decodes first wins. */
    struct td_head *head = self->head;
    td_head_retain(head);
    PyObject *map = decode_head(self->state, head);
    if (map == NULL) {
        td_head_release(head);
        return NULL;
    }
    if (self->head == head && self->map == NULL) {
        self->map = map;
        self->head = NULL;
        td_head_release(head);
    }
    else {
        Py_DECREF(map);
    }
    td_head_release(head);
    return headers_map(self);
}

static int combined_forget(HeadersObject *self, PyObject *name)
{
    PyObject *combined = full_headers(self)->combined;
    if (combined == NULL) {
        return 0;
    }
    Py_INCREF(combined);
    int status = PyDict_Contains(combined, name);
    if (status > 0) {
        status = PyDict_DelItem(combined, name);
    }
    Py_DECREF(combined);
    return status;
}

static int combined_store(HeadersObject *self, PyObject *name, PyObject *value)
{
    PyObject *combined = full_headers(self)->combined;
    if (combined == NULL) {
        combined = native_fill(&full_headers(self)->combined, PyDict_New());
        if (combined == NULL) {
            return -1;
        }
    }
    Py_INCREF(combined);
    int status = PyDict_SetItem(combined, name, value);
    Py_DECREF(combined);
    return status;
}

bool headers_entry_is_single(HeadersObject *self, PyObject *entry)
{
    return !full_headers(self)->exposed && !PyList_Check(entry);
}

/* Replaces an entry by the list of its one value. The list, a new reference, or NULL. */
static PyObject *store_list(HeadersObject *self, PyObject *map, PyObject *name, PyObject *value)
{
    PyObject *list = Py_BuildValue("[O]", value);
    if (list == NULL || combined_store(self, name, value) < 0 || PyDict_SetItem(map, name, list) < 0) {
        Py_CLEAR(list);
    }
    return list;
}

int headers_set_normal(HeadersObject *self, PyObject *name, PyObject *value)
{
    PyObject *map = headers_map(self);
    int status = -1;
    if (map == NULL) {
        return -1;
    }
    Py_INCREF(map); /* dropping an old value may run Python code that replaces self's */
    if (headers_entry_is_single(self, value)) {
        status = combined_forget(self, name) < 0 ? -1 : PyDict_SetItem(map, name, value);
    }
    else {
        PyObject *list = store_list(self, map, name, value);
        status = list != NULL ? 0 : -1;
        Py_XDECREF(list);
    }
    Py_DECREF(map);
    return status;
}

int headers_del_normal(HeadersObject *self, PyObject *name)
{
    PyObject *map = headers_map(self);
    if (map == NULL) {
        return -1;
    }
    Py_INCREF(map);
    int status = combined_forget(self, name);
    if (status == 0) {
        status = PyDict_Contains(map, name);
    }
    if (status > 0 && PyDict_DelItem(map, name) < 0) {
        status = -1;
    }
    Py_DECREF(map);
    return status;
}

int headers_append_normal(HeadersObject *self, PyObject *name, PyObject *value)
{
    PyObject *map = headers_map(self);
    if (map == NULL) {
        return -1;
    }
    Py_INCREF(map);
    int status = combined_forget(self, name);
    PyObject *entry = status == 0 ? Py_XNewRef(PyDict_GetItemWithError(map, name)) : NULL;
    if (entry == NULL) {
        status = -1;
        if (!PyErr_Occurred()) {
            PyErr_SetObject(PyExc_KeyError, name);
        }
    }
    else if (headers_entry_is_single(self, entry)) {
        PyObject *list = Py_BuildValue("[OO]", entry, value);
        status = list != NULL ? PyDict_SetItem(map, name, list) : -1;
        Py_XDECREF(list);
    }
    else if (PyList_Check(entry)) {
        status = PyList_Append(entry, value);
    }
    else {
        PyObject *result = headers_call(entry, "append", value);
        status = result != NULL ? 0 : -1;
        Py_XDECREF(result);
    }
    Py_XDECREF(entry);
    Py_DECREF(map);
    return status;
}

static PyObject *join_values(PyObject *values)
{
    PyObject *comma = PyUnicode_FromOrdinal(',');
    PyObject *joined = comma != NULL ? PyUnicode_Join(comma, values) : NULL;
    Py_XDECREF(comma);
    return joined;
}

PyObject *headers_get_normal(HeadersObject *self, PyObject *name)
{
    PyObject *map = headers_map(self);
    PyObject *entry = map != NULL ? PyDict_GetItemWithError(map, name) : NULL;
    if ((entry == NULL && PyErr_Occurred()) || (entry != NULL && headers_entry_is_single(self, entry))) {
        return entry;
    }
    if (full_headers(self)->combined != NULL) {
        PyObject *known = PyDict_GetItemWithError(full_headers(self)->combined, name);
        if (known != NULL || PyErr_Occurred()) {
            return known;
        }
    }
    if (entry == NULL) {
        return NULL;
    }
    Py_INCREF(entry);
    PyObject *joined = join_values(entry);
    Py_DECREF(entry);
    int status = joined != NULL ? combined_store(self, name, joined) : -1;
    Py_XDECREF(joined); /* `combined` holds it */
    return status == 0 ? joined : NULL;
}

/* The field of that name in a head that is not decoded. *repeated is set when there are several: then the map has to be made. */
static const struct td_field *scan_head(const struct td_head *head, PyObject *name, bool *repeated)
{
    struct td_span wanted = td_span_of((const char *)PyUnicode_1BYTE_DATA(name), (size_t)PyUnicode_GET_LENGTH(name));
    const struct td_field *found = NULL;
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct td_span field = td_field_name(head, &head->fields[i]);
        if (field.len != wanted.len) {
            continue;
        }
        size_t same = 0;
        while (same < field.len && td_ascii_lower(field.data[same]) == td_ascii_lower(wanted.data[same])) {
            same++;
        }
        if (same == field.len) {
            *repeated = found != NULL;
            if (*repeated) {
                break;
            }
            found = &head->fields[i];
        }
    }
    return found;
}

/* May the name be looked up in the head as it came? Letters outside ASCII can become ASCII ones when capitalized. */
static bool can_scan(HeadersObject *self, PyObject *name)
{
    return self->head != NULL && self->head->field_count <= MAX_SCANNED_FIELDS && PyUnicode_CheckExact(name) &&
           PyUnicode_IS_ASCII(name);
}

int headers_contains_normal(HeadersObject *self, PyObject *name)
{
    if (can_scan(self, name)) {
        bool repeated = false;
        return scan_head(self->head, name, &repeated) != NULL;
    }
    PyObject *map = headers_map(self);
    return map != NULL ? PyDict_Contains(map, name) : -1;
}

int headers_has(HeadersObject *self, PyObject *name)
{
    if (can_scan(self, name)) {
        return headers_contains_normal(self, name);
    }
    PyObject *normal = headers_normalize(self->state, name);
    int status = normal != NULL ? headers_contains_normal(self, normal) : -1;
    Py_XDECREF(normal);
    return status;
}

PyObject *headers_find(HeadersObject *self, PyObject *name)
{
    if (can_scan(self, name)) {
        bool repeated = false;
        const struct td_field *field = scan_head(self->head, name, &repeated);
        if (!repeated) {
            return field != NULL ? convert_latin1(td_field_value(self->head, field)) : NULL;
        }
    }
    PyObject *normal = headers_normalize(self->state, name);
    PyObject *value = normal != NULL ? Py_XNewRef(headers_get_normal(self, normal)) : NULL;
    Py_XDECREF(normal);
    return value;
}

PyObject *headers_list_normal(HeadersObject *self, PyObject *name)
{
    PyObject *map = headers_map(self);
    PyObject *entry = map != NULL ? Py_XNewRef(PyDict_GetItemWithError(map, name)) : NULL;
    if (entry == NULL || !headers_entry_is_single(self, entry)) {
        return entry;
    }
    Py_INCREF(map);
    PyObject *list = store_list(self, map, name, entry);
    Py_DECREF(map);
    Py_DECREF(entry);
    return list;
}

int headers_expose(HeadersObject *self)
{
    PyObject *map = headers_map(self);
    if (map == NULL || full_headers(self)->exposed) {
        return map != NULL ? 0 : -1;
    }
    PyObject *names = PyDict_Keys(map);
    int status = names != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(names); i++) {
        PyObject *list = headers_list_normal(self, PyList_GET_ITEM(names, i));
        status = list == NULL && PyErr_Occurred() ? -1 : 0;
        Py_XDECREF(list);
    }
    Py_XDECREF(names);
    if (status == 0 && full_headers(self)->combined == NULL) {
        status = native_fill(&full_headers(self)->combined, PyDict_New()) != NULL ? 0 : -1;
    }
    full_headers(self)->exposed = status == 0;
    return status;
}

void headers_reset(HeadersObject *self)
{
    struct td_head *head = self->head;
    self->head = NULL;
    td_head_release(head);
    full_headers(self)->exposed = false;
    Py_CLEAR(self->map);
    Py_CLEAR(full_headers(self)->combined);
}
