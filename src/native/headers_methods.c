/* The methods of HTTPHeaders.
 *
 * A method that Tornado calls on self is looked up here too, so that subclasses and patches see the same calls; the short way is
 * taken when the lookup leads to this file. */
#include "errors.h"
#include "headers_internal.h"

static PyObject *method_add(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* ---- Which methods does this object have? ---- */

/* Does self.<name> lead to this C function? Anything in the instance's __dict__ counts as no. */
static bool has_native_method(HeadersObject *self, PyObject *name, void *function)
{
    if (self->dict != NULL && PyDict_GET_SIZE(self->dict) != 0) {
        return false;
    }
    PyObject *found = _PyType_Lookup(Py_TYPE(self), name);
    return found != NULL && Py_IS_TYPE(found, &PyMethodDescr_Type) &&
           ((PyMethodDescrObject *)found)->d_method->ml_meth == (PyCFunction)function;
}

/* object.<name>(..., _chars_are_bytes=flag), without the keyword when flag is NULL. arguments: object first. */
static int call_with_flag(const char *name, PyObject **arguments, size_t count, PyObject *flag)
{
    PyObject *stack[4] = {arguments[0], arguments[1], count > 2 ? arguments[2] : NULL, NULL};
    stack[count] = flag;
    PyObject *method = PyUnicode_InternFromString(name);
    PyObject *keywords = flag != NULL ? Py_BuildValue("(s)", "_chars_are_bytes") : NULL;
    PyObject *result = NULL;
    if (method != NULL && (keywords != NULL || flag == NULL)) {
        result = PyObject_VectorcallMethod(method, stack, count, keywords);
    }
    Py_XDECREF(method);
    Py_XDECREF(keywords);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* A flag that defaults to true. 1, 0 or -1. */
static int flag_is_set(PyObject *flag)
{
    return flag == NULL || flag == Py_True ? 1 : PyObject_IsTrue(flag);
}

/* ---- Adding ---- */

static int add_checked(HeadersObject *self, PyObject *name, PyObject *value, PyObject *flag)
{
    int chars_are_bytes = 1;
    if (headers_check_name(self->state, name) < 0 || (chars_are_bytes = flag_is_set(flag)) < 0 ||
        headers_check_value(self->state, value, chars_are_bytes) < 0) {
        return -1;
    }
    PyObject *normal = headers_normalize(self->state, name);
    if (normal == NULL) {
        return -1;
    }
    int status;
    if (headers_has_native_slots(Py_TYPE(self))) {
        PyObject *map = headers_map(self);
        status = map != NULL ? PyDict_Contains(map, normal) : -1;
        if (status >= 0) {
            status = status ? headers_append_normal(self, normal, value) : headers_set_normal(self, normal, value);
        }
    }
    else {
        status = PySequence_Contains((PyObject *)self, normal);
        if (status >= 0) {
            status = status ? headers_append_normal(self, normal, value) : PyObject_SetItem((PyObject *)self, normal, value);
        }
    }
    Py_DECREF(normal);
    return status;
}

int headers_add(HeadersObject *self, PyObject *name, PyObject *value)
{
    return add_checked(self, name, value, NULL);
}

int headers_add_by_lookup(HeadersObject *self, PyObject *name, PyObject *value, PyObject *flag)
{
    if (has_native_method(self, NAME(self->state, add), method_add)) {
        return add_checked(self, name, value, flag);
    }
    PyObject *arguments[] = {(PyObject *)self, name, value};
    return call_with_flag("add", arguments, 3, flag);
}

static bool is_blank(Py_UCS4 c)
{
    return c == ' ' || c == '\t';
}

/* Error pages and logs show the exception that Tornado's attempt to split the line ends with, too. -1. */
static int refuse_without_colon(struct native_state *state)
{
    PyObject *error = PyObject_CallFunction(PyExc_ValueError, "s", "not enough values to unpack (expected 2, got 1)");
    PyObject *raised = error ? PyObject_CallOneArg(BOUND(state, raise_error), error) : NULL;
    Py_XDECREF(raised);
    Py_XDECREF(error);
    PyObject *context = errors_take();
    (void)headers_refuse(state, "no colon in header line", NULL);
    PyObject *exception = errors_take();
    if (exception != NULL && context != NULL) {
        PyException_SetContext(exception, context); /* steals it */
    }
    else {
        Py_XDECREF(context);
    }
    errors_give(exception);
    return -1;
}

/* parse_line of text[start:end]. One line end is dropped: what \r?\n$ finds, where $ also stands before a last "\n". */
static int parse_slice(HeadersObject *self, PyObject *text, Py_ssize_t start, Py_ssize_t end, PyObject *flag)
{
    if (end > start && PyUnicode_READ_CHAR(text, end - 1) == '\n') {
        end--;
        if (end > start && PyUnicode_READ_CHAR(text, end - 1) == '\n') {
            end--;
        }
        if (end > start && PyUnicode_READ_CHAR(text, end - 1) == '\r') {
            end--;
        }
    }
    if (end == start) {
        return 0;
    }
    if (is_blank(PyUnicode_READ_CHAR(text, start))) {
        return headers_refuse(self->state, "header line cannot start with whitespace, folding not supported", NULL);
    }
    Py_ssize_t colon = PyUnicode_FindChar(text, ':', start, end, 1);
    if (colon < 0) {
        return colon == -1 ? refuse_without_colon(self->state) : -1;
    }
    Py_ssize_t value_start = colon + 1;
    while (value_start < end && is_blank(PyUnicode_READ_CHAR(text, value_start))) {
        value_start++;
    }
    while (end > value_start && is_blank(PyUnicode_READ_CHAR(text, end - 1))) {
        end--;
    }
    PyObject *name = PyUnicode_Substring(text, start, colon);
    PyObject *value = PyUnicode_Substring(text, value_start, end);
    int status = name != NULL && value != NULL ? headers_add_by_lookup(self, name, value, flag != NULL ? flag : Py_True) : -1;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return status;
}

/* ---- Methods ---- */

/* A method's parameters: the first `required` must be given, those from `positional` on by keyword only. */
struct signature {
    const char *function;
    const char *parameters[3];
    Py_ssize_t required;
    Py_ssize_t positional;
};

/* Sorts the arguments of a call into values[3] (borrowed; NULL where none was given). 0, or -1 with TypeError. */
static int take_arguments(const struct signature *signature, PyObject *const *args, Py_ssize_t count, PyObject *keywords,
                          PyObject *values[3])
{
    if (count > signature->positional) {
        PyErr_Format(PyExc_TypeError, "HTTPHeaders.%s() takes at most %zd positional arguments but %zd were given",
                     signature->function, signature->positional, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < 3; i++) {
        values[i] = i < count ? args[i] : NULL;
    }
    for (Py_ssize_t k = 0; keywords != NULL && k < PyTuple_GET_SIZE(keywords); k++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, k);
        int i = 0;
        while (i < 3 &&
               (signature->parameters[i] == NULL || PyUnicode_CompareWithASCIIString(keyword, signature->parameters[i]) != 0)) {
            i++;
        }
        if (i == 3 || values[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "HTTPHeaders.%s() got %s argument '%U'", signature->function,
                         i == 3 ? "an unexpected keyword" : "multiple values for", keyword);
            return -1;
        }
        values[i] = args[count + k];
    }
    for (Py_ssize_t i = 0; i < signature->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "HTTPHeaders.%s() missing required argument: '%s'", signature->function,
                         signature->parameters[i]);
            return -1;
        }
    }
    return 0;
}

static PyObject *none_unless(int failed)
{
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *method_add(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const struct signature signature = {"add", {"name", "value", "_chars_are_bytes"}, 2, 2};
    PyObject *values[3];
    if (take_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    return none_unless(add_checked((HeadersObject *)object, values[0], values[1], values[2]) < 0);
}

static PyObject *method_get(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const struct signature signature = {"get", {"key", "default", NULL}, 1, 2};
    PyObject *values[3];
    PyObject *value;
    if (take_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    if (headers_has_native_slots(Py_TYPE(object))) {
        value = headers_find((HeadersObject *)object, values[0]);
    }
    else {
        value = PyObject_GetItem(object, values[0]);
    }
    if (value == NULL && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
            return NULL;
        }
        PyErr_Clear();
    }
    if (value == NULL) {
        value = Py_NewRef(values[1] != NULL ? values[1] : Py_None);
    }
    return value;
}

static PyObject *method_get_list(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const struct signature signature = {"get_list", {"name", NULL, NULL}, 1, 1};
    HeadersObject *self = (HeadersObject *)object;
    PyObject *values[3];
    if (take_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    PyObject *normal = headers_normalize(self->state, values[0]);
    PyObject *list = normal != NULL ? headers_list_normal(self, normal) : NULL;
    Py_XDECREF(normal);
    return list == NULL && !PyErr_Occurred() ? PyList_New(0) : list;
}

static PyObject *method_get_all(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return headers_pairs_new((HeadersObject *)object);
}

static PyObject *method_parse_line(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const struct signature signature = {"parse_line", {"line", "_chars_are_bytes", NULL}, 1, 1};
    HeadersObject *self = (HeadersObject *)object;
    PyObject *values[3];
    if (take_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    if (!PyUnicode_Check(values[0])) {
        headers_refuse_type(self->state, values[0]);
        return NULL;
    }
    return none_unless(parse_slice(self, values[0], 0, PyUnicode_GET_LENGTH(values[0]), values[1]) < 0);
}

/* Hands each line of the text to parse_line; the last one, mostly empty, has no line end. */
static int parse_text(PyObject *headers, struct native_state *state, PyObject *text, PyObject *flag)
{
    PyObject *name = PyUnicode_InternFromString("parse_line");
    if (name == NULL) {
        return -1;
    }
    Py_ssize_t len = PyUnicode_GET_LENGTH(text);
    Py_ssize_t start = 0;
    int status = 0;
    for (bool last = false; status == 0 && !last;) {
        Py_ssize_t newline = PyUnicode_FindChar(text, '\n', start, len, 1);
        if (newline < -1) {
            status = -1;
            break;
        }
        last = newline == -1;
        Py_ssize_t end = last ? len : newline + 1;
        if (PyObject_TypeCheck(headers, state->headers_type) &&
            has_native_method((HeadersObject *)headers, name, method_parse_line)) {
            status = parse_slice((HeadersObject *)headers, text, start, end, flag);
        }
        else {
            PyObject *line = PyUnicode_Substring(text, start, end);
            PyObject *arguments[] = {headers, line};
            status = line != NULL ? call_with_flag("parse_line", arguments, 2, flag != NULL ? flag : Py_True) : -1;
            Py_XDECREF(line);
        }
        start = end;
    }
    Py_DECREF(name);
    return status;
}

/* Tornado's text.find("\n", 0), for the exception that it raises where text is no str. */
static PyObject *find_newline(PyObject *text)
{
    PyObject *find = headers_attribute(text, "find");
    PyObject *found = find != NULL ? PyObject_CallFunction(find, "si", "\n", 0) : NULL;
    Py_XDECREF(find);
    return found;
}

static PyObject *method_parse(PyObject *type, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const struct signature signature = {"parse", {"headers", "_chars_are_bytes", NULL}, 1, 1};
    PyObject *values[3];
    struct native_state *state = native_state_of((PyTypeObject *)type);
    if (state == NULL || take_arguments(&signature, args, count, keywords, values) < 0) {
        return NULL;
    }
    PyObject *headers = PyObject_CallNoArgs(type);
    if (headers == NULL) {
        return NULL;
    }
    int status = -1;
    if (PyUnicode_Check(values[0])) {
        status = parse_text(headers, state, values[0], values[1]);
    }
    else {
        PyObject *found = find_newline(values[0]);
        if (found != NULL) {
            PyErr_Format(PyExc_TypeError, "expected string, got '%.200s'", Py_TYPE(values[0])->tp_name);
        }
        Py_XDECREF(found);
    }
    if (status < 0) {
        Py_CLEAR(headers);
    }
    return headers;
}

static PyObject *method_copy(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    /* Not type(self): Tornado copies a subclass into an HTTPHeaders. */
    struct native_state *state = ((HeadersObject *)object)->state;
    PyObject *type = BOUND(state, HTTPHeaders);
    return PyObject_CallOneArg(type != NULL ? type : (PyObject *)state->headers_type, object);
}

/* The method that Tornado's class inherits: whatever the argument is, it does or raises the right thing. */
static int update_by_tornado(HeadersObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *original = BOUND(self->state, tornado_HTTPHeaders);
    if (original == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "tornadoc's Python half is not bound");
        return -1;
    }
    PyObject *result = NULL;
    PyObject *method = PyObject_GetAttr(original, NAME(self->state, update));
    PyObject *whole = PyTuple_New(PyTuple_GET_SIZE(args) + 1);
    if (method != NULL && whole != NULL) {
        PyTuple_SET_ITEM(whole, 0, Py_NewRef((PyObject *)self));
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
            PyTuple_SET_ITEM(whole, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
        }
        result = PyObject_Call(method, whole, kwargs);
    }
    Py_XDECREF(method);
    Py_XDECREF(whole);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

static int update_from_dict(HeadersObject *self, PyObject *dict)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;
    Py_ssize_t size = PyDict_GET_SIZE(dict);
    int status = 0;
    while (status == 0 && PyDict_Next(dict, &position, &name, &value)) {
        Py_INCREF(name);
        Py_INCREF(value);
        status = headers_set_item(self, name, value);
        Py_DECREF(name);
        Py_DECREF(value);
        if (status == 0 && PyDict_GET_SIZE(dict) != size) {
            PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
            status = -1;
        }
    }
    return status;
}

int headers_update(HeadersObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    bool from_dict = count == 1 && PyDict_CheckExact(PyTuple_GET_ITEM(args, 0));
    if ((count > 0 && !from_dict) || !headers_has_native_slots(Py_TYPE(self))) {
        return update_by_tornado(self, args, kwargs);
    }
    int status = from_dict ? update_from_dict(self, PyTuple_GET_ITEM(args, 0)) : 0;
    return status == 0 && kwargs != NULL ? update_from_dict(self, kwargs) : status;
}

static PyObject *method_update(PyObject *object, PyObject *args, PyObject *kwargs)
{
    return none_unless(headers_update((HeadersObject *)object, args, kwargs) < 0);
}

bool headers_has_native_update(HeadersObject *self)
{
    return has_native_method(self, NAME(self->state, update), method_update);
}

bool headers_has_native_methods(HeadersObject *self)
{
    return has_native_method(self, NAME(self->state, add), method_add) &&
           has_native_method(self, NAME(self->state, get), method_get) &&
           has_native_method(self, NAME(self->state, get_list), method_get_list);
}

#define FAST(function) (PyCFunction)(void (*)(void)) function

PyMethodDef headers_methods[] = {
    {"add", FAST(method_add), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("add($self, name, value, *, _chars_are_bytes=True)\n--\n\nAdds a field after those of the same name.")},
    {"get", FAST(method_get), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("get($self, key, default=None)\n--\n\nThe combined value of a field, or the default.")},
    {"get_list", FAST(method_get_list), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("get_list($self, name)\n--\n\nThe values of all fields of that name.")},
    {"get_all", method_get_all, METH_NOARGS,
     PyDoc_STR("get_all($self)\n--\n\nAn iterator over (name, value), one pair a field.")},
    {"parse_line", FAST(method_parse_line), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("parse_line($self, line, *, _chars_are_bytes=True)\n--\n\nAdds the field of one header line.")},
    {"parse", FAST(method_parse), METH_CLASS | METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("parse($type, headers, *, _chars_are_bytes=True)\n--\n\nHeaders made from the lines of a text.")},
    {"update", FAST(method_update), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("update($self, other=(), /, **kwds)\n--\n\nSets each item of a mapping, or of pairs, and of the keywords.")},
    {"copy", method_copy, METH_NOARGS, PyDoc_STR("copy($self)\n--\n\nA new HTTPHeaders with the same fields.")},
    {"__copy__", method_copy, METH_NOARGS, PyDoc_STR("__copy__($self)\n--\n\nA new HTTPHeaders with the same fields.")},
    {NULL},
};
