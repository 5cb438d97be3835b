/* See convert.h. */
#include "convert.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

int convert_double_attribute(PyObject *object, PyObject *name, double none, double *value)
{
    PyObject *attribute = PyObject_GetAttr(object, name);
    if (attribute == NULL) {
        return -1;
    }
    *value = attribute == Py_None ? none : PyFloat_AsDouble(attribute);
    Py_DECREF(attribute);
    return PyErr_Occurred() ? -1 : 0;
}

int convert_size_attribute(PyObject *object, PyObject *name, uint64_t none, uint64_t *value)
{
    PyObject *attribute = PyObject_GetAttr(object, name);
    if (attribute == NULL) {
        return -1;
    }
    if (attribute == Py_None) {
        *value = none;
    }
    else if (PyFloat_Check(attribute)) {
        double number = PyFloat_AS_DOUBLE(attribute);
        *value = number >= 9.2e18 ? UINT64_MAX : number <= 0 ? 0 : (uint64_t)number;
    }
    else {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(attribute, &overflow);
        *value = overflow > 0 ? UINT64_MAX : number < 0 ? 0 : (uint64_t)number;
    }
    Py_DECREF(attribute);
    return PyErr_Occurred() ? -1 : 0;
}

int convert_bool_attribute(PyObject *object, PyObject *name, bool *value)
{
    PyObject *attribute = PyObject_GetAttr(object, name);
    if (attribute == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(attribute);
    Py_DECREF(attribute);
    *value = truth > 0;
    return truth < 0 ? -1 : 0;
}

PyObject *convert_address(const struct sockaddr *peer, socklen_t len)
{
    char text[INET6_ADDRSTRLEN];
    switch (peer->sa_family) {
    case AF_INET: {
        const struct sockaddr_in *ip4 = (const struct sockaddr_in *)peer;
        inet_ntop(AF_INET, &ip4->sin_addr, text, sizeof(text));
        return Py_BuildValue("(si)", text, ntohs(ip4->sin_port));
    }
    case AF_INET6: {
        const struct sockaddr_in6 *ip6 = (const struct sockaddr_in6 *)peer;
        inet_ntop(AF_INET6, &ip6->sin6_addr, text, sizeof(text));
        return Py_BuildValue("(siII)", text, ntohs(ip6->sin6_port), ntohl(ip6->sin6_flowinfo), ip6->sin6_scope_id);
    }
    default: {
        const struct sockaddr_un *path = (const struct sockaddr_un *)peer;
        size_t offset = offsetof(struct sockaddr_un, sun_path);
        size_t path_len = len > offset ? len - offset : 0;
        if (path_len > 0 && path->sun_path[0] == '\0') {
            return PyBytes_FromStringAndSize(path->sun_path, (Py_ssize_t)path_len);
        }
        return PyUnicode_DecodeFSDefaultAndSize(path->sun_path, (Py_ssize_t)strnlen(path->sun_path, path_len));
    }
    }
}
