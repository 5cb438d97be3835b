/* See errors.h. */
#include "errors.h"

#include <errno.h>

#include "convert.h"

PyObject *errors_take(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

void errors_give(PyObject *exception)
{
    if (exception == NULL) {
        return;
    }
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
#endif
}

PyObject *errors_os(int number)
{
    errno = number;
    PyErr_SetFromErrno(PyExc_OSError);
    return errors_take();
}

bool errors_is_exit(void)
{
    return PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) || PyErr_ExceptionMatches(PyExc_SystemExit);
}

void errors_unraisable(struct native_state *state, PyObject *source)
{
    if (state->exit_exception == NULL && errors_is_exit()) {
        state->exit_exception = errors_take();
    }
    else {
        PyErr_WriteUnraisable(source);
    }
}

/* function(*args), which logs an exception: what goes wrong there is reported and not raised. Steals args and exception. */
static void call_logger(struct native_state *state, PyObject *function, PyObject *args, PyObject *exception)
{
    PyObject *result = args ? PyObject_Call(function, args, NULL) : NULL;
    if (result == NULL) {
        errors_unraisable(state, function);
    }
    Py_XDECREF(result);
    Py_XDECREF(args);
    Py_XDECREF(exception);
}

int errors_log_uncaught(struct native_state *state, PyObject *logger, const char *message)
{
    if (errors_is_exit()) {
        return -1;
    }
    PyObject *exception = errors_take();
    call_logger(state, BOUND(state, log_exception), Py_BuildValue("(OsO)", logger, message, exception ? exception : Py_None),
                exception);
    return 0;
}

int errors_log_callback(struct native_state *state, PyObject *callback)
{
    if (errors_is_exit()) {
        return -1;
    }
    PyObject *exception = errors_take();
    call_logger(state, BOUND(state, log_callback), Py_BuildValue("(OO)", callback, exception ? exception : Py_None), exception);
    return 0;
}

int errors_report(struct native_state *state, const char *message)
{
    if (errors_is_exit()) {
        return -1;
    }
    PyObject *exception = errors_take();
    PyObject *result = PyObject_CallFunction(BOUND(state, report_uncaught), "sO", message, exception ? exception : Py_None);
    Py_XDECREF(exception);
    if (result == NULL) {
        if (errors_is_exit()) {
            return -1;
        }
        errors_unraisable(state, BOUND(state, report_uncaught));
        return 0;
    }
    Py_DECREF(result);
    return 0;
}

void errors_log(struct native_state *state, PyObject *logger, PyObject *method, const char *format, PyObject *args)
{
    PyObject *function = args ? PyObject_GetAttr(logger, method) : NULL;
    call_logger(state, BOUND(state, log_message), function ? Py_BuildValue("(OsO)", function, format, args) : NULL, args);
    Py_XDECREF(function);
}

/* All values of a field, joined as Tornado joins them. */
static PyObject *combined(const struct td_head *head, const char *lower_name)
{
    size_t len = td_head_combine(head, lower_name, NULL, 0);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    if (bytes == NULL) {
        return NULL;
    }
    (void)td_head_combine(head, lower_name, PyBytes_AS_STRING(bytes), len);
    PyObject *text = convert_latin1(convert_bytes_span(bytes));
    Py_DECREF(bytes);
    return text;
}

/* Messages as Tornado words them; %R is the repr of the subject, %U the subject itself. */
static const struct {
    const char *format;
    const char *field; /* whose combined value is the subject when the verdict has none */
} wordings[] = {
    [TD_FAULT_NONE] = {"unknown fault", NULL},
    [TD_FAULT_FOLDED] = {"header line cannot start with whitespace, folding not supported", NULL},
    [TD_FAULT_NO_COLON] = {"no colon in header line", NULL},
    [TD_FAULT_FIELD_NAME] = {"Invalid header name %R", NULL},
    [TD_FAULT_FIELD_VALUE] = {"Invalid header value %R", NULL},
    [TD_FAULT_HEAD_TOO_LARGE] = {"header block too large", NULL},
    [TD_FAULT_TOO_MANY_FIELDS] = {"too many header lines", NULL},
    [TD_FAULT_REQUEST_LINE] = {"Malformed HTTP request line", NULL},
    [TD_FAULT_VERSION] = {"Unexpected HTTP version %R", NULL},
    [TD_FAULT_HOST_MISSING] = {"Missing Host header", NULL},
    [TD_FAULT_HOST_INVALID] = {"Invalid Host header: %R", "host"},
    [TD_FAULT_HOST_MANY] = {"Multiple host headers not allowed: %R", "host"},
    [TD_FAULT_TRANSFER_ENCODING] = {"Unsupported Transfer-Encoding %U", "transfer-encoding"},
    [TD_FAULT_BOTH_FRAMINGS] = {"Message with both Transfer-Encoding and Content-Length", NULL},
    [TD_FAULT_LENGTH_NOT_INTEGER] = {"Only integer Content-Length is allowed: %U", "content-length"},
    [TD_FAULT_LENGTHS_DIFFER] = {"Multiple unequal Content-Lengths: %R", "content-length"},
    [TD_FAULT_LENGTH_TOO_LONG] = {"Content-Length too long", NULL},
    [TD_FAULT_CHUNK_SIZE] = {"invalid chunk size", NULL},
    [TD_FAULT_CHUNK_END] = {"improperly terminated chunk", NULL},
    [TD_FAULT_CHUNKED_END] = {"improperly terminated chunked request", NULL},
    [TD_FAULT_CHUNKED_TOO_LARGE] = {"chunked body too large", NULL},
};

void errors_set_fault(struct native_state *state, const struct td_verdict *why, const struct td_head *head)
{
    const char *format = wordings[why->fault].format;
    const char *field = wordings[why->fault].field;
    PyObject *message;
    if (strchr(format, '%') == NULL) {
        message = PyUnicode_FromString(format);
    }
    else {
        PyObject *subject =
            why->subject.data == NULL && field != NULL && head != NULL ? combined(head, field) : convert_latin1(why->subject);
        message = subject ? PyUnicode_FromFormat(format, subject) : NULL;
        Py_XDECREF(subject);
    }
    if (message != NULL) {
        PyErr_SetObject(BOUND(state, HTTPInputError), message);
        Py_DECREF(message);
    }
}
