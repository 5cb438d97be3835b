/* See application.h. */
#include "application.h"

#include "convert.h"
#include "guard.h"
#include "request.h"

/* A compiled rule is a tuple of these (tornadoc/routing.py makes it). */
enum { RULE_KIND, RULE_PATTERN, RULE_PREFIX, RULE_TARGET_KIND, RULE_TARGET, RULE_KWARGS, RULE_SIZE };
/* RULE_KIND: what the rule's matcher is; RULE_PATTERN is */
enum {
    KIND_ANY,     /* None */
    KIND_LITERAL, /* bytes that the whole path must equal */
    KIND_PATH,    /* a compiled regular expression for the path, without groups; RULE_PREFIX bytes that it must start with */
    KIND_GROUPS,  /* the same, with positional groups */
    KIND_NAMED,   /* the same, with named groups */
    KIND_HOST,    /* a compiled regular expression for the host name */
    KIND_OPAQUE   /* None: ask Python */
};
/* RULE_TARGET_KIND */
enum {
    TARGET_HANDLER, /* RULE_TARGET is a handler class, RULE_KWARGS its target_kwargs */
    TARGET_ROUTER,  /* RULE_TARGET is a tuple of compiled rules */
    TARGET_OPAQUE   /* ask Python */
};

/* Results of a walk. */
enum { FOUND = 1, NOT_FOUND = 0, FAILED = -1, ASK_PYTHON = -2 };

void route_clear(struct route *route)
{
    Py_CLEAR(route->handler_class);
    Py_CLEAR(route->handler_kwargs);
    Py_CLEAR(route->path_args);
    Py_CLEAR(route->path_kwargs);
    Py_CLEAR(route->delegate);
}

uint64_t application_mask(ApplicationObject *self)
{
    uint64_t mask = guard_type_mask(self->state, GUARD_APPLICATION, Py_TYPE(self));
    return self->hooks_set ? mask | guard_dict_mask(self->state, GUARD_APPLICATION, self->dict) : mask;
}

static const enum native_name setting_names[SETTING_COUNT] = {
#define X(name) NAME_##name,
    APPLICATION_SETTINGS(X)
#undef X
};

/* Looks all of them up in a dict that can tell that it is unchanged. */
static void find_settings(ApplicationObject *self, uint64_t version)
{
    PyObject *settings = Py_NewRef(self->settings);
    self->settings_version = 0;
    for (int i = 0; i < SETTING_COUNT; i++) {
        self->found[i] = PyDict_GetItemWithError(settings, self->state->names[setting_names[i]]);
    }
    /* Keys that are no strings may have run anything. */
    if (!PyErr_Occurred() && self->settings == settings && guard_dict_version(settings) == version) {
        self->settings_version = version;
    }
    PyErr_Clear();
    Py_DECREF(settings);
}

PyObject *application_setting(ApplicationObject *self, enum application_setting setting)
{
    if (self->settings == NULL || !PyDict_Check(self->settings)) {
        return NULL;
    }
    uint64_t version = guard_dict_version(self->settings);
    if (version != 0 && version != self->settings_version) {
        find_settings(self, version);
    }
    if (version != 0 && version == self->settings_version) {
        return self->found[setting];
    }
    return PyDict_GetItemWithError(self->settings, self->state->names[setting_names[setting]]);
}

/* -- the compiled tree -- */

static bool lists_unchanged(PyObject *lists)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lists); i++) {
        PyObject *pair = PyTuple_GET_ITEM(lists, i);
        PyObject *list = PyTuple_GET_ITEM(pair, 0);
        PyObject *items = PyTuple_GET_ITEM(pair, 1);
        Py_ssize_t size = PyTuple_GET_SIZE(items);
        if (PyList_GET_SIZE(list) != size) {
            return false;
        }
        if (size > 0 &&
            memcmp(((PyListObject *)list)->ob_item, &PyTuple_GET_ITEM(items, 0), (size_t)size * sizeof(PyObject *)) != 0) {
            return false;
        }
    }
    return true;
}

/* The version tags of the routing classes, mixed: another value when one of them was patched. 0 if one has no tag. */
static uint64_t class_tags(struct native_state *state)
{
    uint64_t mixed = 1;
    PyObject *classes = BOUND(state, route_classes);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(classes); i++) {
        PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(classes, i);
        unsigned int tag = guard_version_tag(type);
        if (tag == 0) {
            /* A lookup gives it one, if there are any left. */
            (void)_PyType_Lookup(type, NAME(state, match));
            tag = guard_version_tag(type);
        }
        if (tag == 0) {
            return 0;
        }
        mixed = mixed * UINT64_C(1000003) + tag;
    }
    return mixed;
}

/* Makes the tree if there is none that holds. 0 or -1. */
static int prepare_rules(ApplicationObject *self)
{
    struct native_state *state = self->state;
    uint64_t classes = class_tags(state);
    if (self->rules != NULL && self->epoch == state->route_epoch && classes != 0 && classes == self->classes &&
        lists_unchanged(self->lists)) {
        return 0;
    }
    unsigned long epoch = state->route_epoch;
    PyObject *compiled = PyObject_CallOneArg(BOUND(state, compile_routes), (PyObject *)self);
    if (compiled == NULL) {
        return -1;
    }
    Py_XSETREF(self->rules, Py_NewRef(PyTuple_GET_ITEM(compiled, 0)));
    Py_XSETREF(self->lists, Py_NewRef(PyTuple_GET_ITEM(compiled, 1)));
    Py_DECREF(compiled);
    self->epoch = epoch;
    self->classes = class_tags(state);
    return 0;
}

/* -- groups -- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* url_unescape(group, encoding=None, plus=False): bytes, or None for a group that took no part. Steals group. */
static PyObject *unescape_group(PyObject *group)
{
    if (group == NULL || group == Py_None) {
        return group;
    }
    PyObject *bytes = PyUnicode_AsUTF8String(group);
    Py_DECREF(group);
    if (bytes == NULL || memchr(PyBytes_AS_STRING(bytes), '%', (size_t)PyBytes_GET_SIZE(bytes)) == NULL) {
        return bytes;
    }
    const char *from = PyBytes_AS_STRING(bytes);
    const char *end = from + PyBytes_GET_SIZE(bytes);
    PyObject *result = PyBytes_FromStringAndSize(NULL, end - from);
    if (result != NULL) {
        char *to = PyBytes_AS_STRING(result);
        while (from < end) {
            if (*from == '%' && end - from > 2 && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0) {
                *to++ = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
                from += 3;
            }
            else {
                *to++ = *from++;
            }
        }
        (void)_PyBytes_Resize(&result, to - PyBytes_AS_STRING(result));
    }
    Py_DECREF(bytes);
    return result;
}

static PyObject *positional_groups(struct native_state *state, PyObject *match)
{
    PyObject *groups = PyObject_CallMethodNoArgs(match, NAME(state, groups));
    PyObject *result = groups ? PyTuple_New(PyTuple_GET_SIZE(groups)) : NULL;
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(groups); i++) {
        PyObject *value = unescape_group(Py_NewRef(PyTuple_GET_ITEM(groups, i)));
        if (value == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyTuple_SET_ITEM(result, i, value);
    }
    Py_XDECREF(groups);
    return result;
}

static PyObject *named_groups(struct native_state *state, PyObject *match)
{
    PyObject *groups = PyObject_CallMethodNoArgs(match, NAME(state, groupdict));
    PyObject *result = groups ? PyDict_New() : NULL;
    Py_ssize_t position = 0;
    PyObject *name, *group;
    while (result != NULL && PyDict_Next(groups, &position, &name, &group)) {
        PyObject *value = unescape_group(Py_NewRef(group));
        if (value == NULL || PyDict_SetItem(result, name, value) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(value);
    }
    Py_XDECREF(groups);
    return result;
}

/* -- the walk -- */

/* regex.match(text): a match object, None, or NULL. text may be NULL with an exception set. */
static PyObject *match_regex(ApplicationObject *self, PyObject *regex, PyObject *text)
{
    return text ? PyObject_CallMethodOneArg(regex, NAME(self->state, match), text) : NULL;
}

static int match_path(ApplicationObject *self, PyObject *rule, long kind, RequestObject *request, struct td_span path,
                      struct route *route)
{
    struct td_span prefix = convert_bytes_span(PyTuple_GET_ITEM(rule, RULE_PREFIX));
    if (path.len < prefix.len || memcmp(path.data, prefix.data, prefix.len) != 0) {
        return NOT_FOUND;
    }
    PyObject *match = match_regex(self, PyTuple_GET_ITEM(rule, RULE_PATTERN), request_slot(request, REQUEST_path));
    if (match == NULL) {
        return FAILED;
    }
    int status = match == Py_None ? NOT_FOUND : FOUND;
    if (status == FOUND && kind == KIND_GROUPS) {
        route->path_args = positional_groups(self->state, match);
        status = route->path_args ? FOUND : FAILED;
    }
    else if (status == FOUND && kind == KIND_NAMED) {
        route->path_kwargs = named_groups(self->state, match);
        status = route->path_kwargs ? FOUND : FAILED;
    }
    Py_DECREF(match);
    return status;
}

static int match_rule(ApplicationObject *self, PyObject *rule, RequestObject *request, struct td_span path, struct route *route)
{
    long kind = PyLong_AsLong(PyTuple_GET_ITEM(rule, RULE_KIND));
    switch (kind) {
    case KIND_ANY:
        return FOUND;
    case KIND_LITERAL: {
        struct td_span literal = convert_bytes_span(PyTuple_GET_ITEM(rule, RULE_PATTERN));
        return path.len == literal.len && memcmp(path.data, literal.data, literal.len) == 0 ? FOUND : NOT_FOUND;
    }
    case KIND_PATH:
    case KIND_GROUPS:
    case KIND_NAMED:
        return match_path(self, rule, kind, request, path, route);
    case KIND_HOST: {
        PyObject *match = match_regex(self, PyTuple_GET_ITEM(rule, RULE_PATTERN), request_slot(request, REQUEST_host_name));
        Py_XDECREF(match);
        return match == NULL ? FAILED : match == Py_None ? NOT_FOUND : FOUND;
    }
    default:
        return ASK_PYTHON;
    }
}

static int walk(ApplicationObject *self, PyObject *rules, RequestObject *request, struct td_span path, struct route *route)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rules); i++) {
        PyObject *rule = PyTuple_GET_ITEM(rules, i);
        int status = match_rule(self, rule, request, path, route);
        if (status == NOT_FOUND) {
            continue;
        }
        if (status != FOUND) {
            return status;
        }
        switch (PyLong_AsLong(PyTuple_GET_ITEM(rule, RULE_TARGET_KIND))) {
        case TARGET_HANDLER: {
            PyObject *kwargs = PyTuple_GET_ITEM(rule, RULE_KWARGS);
            route->handler_class = Py_NewRef(PyTuple_GET_ITEM(rule, RULE_TARGET));
            int given = PyDict_CheckExact(kwargs) ? PyDict_GET_SIZE(kwargs) > 0 : PyObject_IsTrue(kwargs);
            if (given < 0) {
                return FAILED;
            }
            route->handler_kwargs = given ? Py_NewRef(kwargs) : NULL;
            return FOUND;
        }
        case TARGET_ROUTER:
            /* A nested router gets the request, not the groups. */
            route_clear(route);
            status = Py_EnterRecursiveCall(" in routing") ? FAILED
                                                          : walk(self, PyTuple_GET_ITEM(rule, RULE_TARGET), request, path, route);
            if (status != FAILED) {
                Py_LeaveRecursiveCall();
            }
            if (status != NOT_FOUND) {
                return status;
            }
            break;
        default:
            return ASK_PYTHON;
        }
    }
    return NOT_FOUND;
}

static int ask_python(ApplicationObject *self, RequestObject *request, struct route *route)
{
    PyObject *args[] = {(PyObject *)self, (PyObject *)request};
    route_clear(route);
    route->delegate = PyObject_VectorcallMethod(NAME(self->state, find_handler), args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    return route->delegate == NULL ? -1 : 0;
}

static int default_route(ApplicationObject *self, struct route *route)
{
    PyObject *pair = PyObject_CallOneArg(BOUND(self->state, default_route), (PyObject *)self);
    if (pair == NULL) {
        return -1;
    }
    route->handler_class = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
    route->handler_kwargs = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
    Py_DECREF(pair);
    return 0;
}

int application_find(ApplicationObject *self, RequestObject *request, struct route *route)
{
    struct td_span path;
    if (prepare_rules(self) < 0) {
        return -1;
    }
    if (!request_path_span(request, &path)) {
        return PyErr_Occurred() ? -1 : ask_python(self, request, route);
    }
    PyObject *rules = Py_NewRef(self->rules);
    int status = walk(self, rules, request, path, route);
    Py_DECREF(rules);
    switch (status) {
    case FOUND:
        return 0;
    case NOT_FOUND:
        route_clear(route);
        return default_route(self, route);
    case ASK_PYTHON:
        return ask_python(self, request, route);
    default:
        route_clear(route);
        return -1;
    }
}

/* -- the type -- */

static PyObject *application_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct native_state *state = native_state_of(type);
    ApplicationObject *self = state ? (ApplicationObject *)native_alloc(type) : NULL;
    if (self != NULL) {
        self->state = state;
    }
    return (PyObject *)self;
}

/* Any attribute may matter to the routes (default_router, default_host) or stand before a method. */
static int application_setattro(ApplicationObject *self, PyObject *name, PyObject *value)
{
    self->state->route_epoch++;
    int status = PyObject_GenericSetAttr((PyObject *)self, name, value);
    /* A class of the program's that has the attribute itself hides the native one. */
    if (status == 0 && name == NAME(self->state, settings)) {
        Py_XSETREF(self->settings, Py_XNewRef(value));
    }
    else if (status == 0 && name == NAME(self->state, transforms)) {
        Py_XSETREF(self->transforms, Py_XNewRef(value));
    }
    self->hooks_set = guard_dict_mask(self->state, GUARD_APPLICATION, self->dict) != 0;
    return status;
}

static int application_traverse(ApplicationObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->settings);
    Py_VISIT(self->transforms);
    Py_VISIT(self->rules);
    Py_VISIT(self->lists);
    Py_VISIT(self->dict);
    return 0;
}

static int application_clear(ApplicationObject *self)
{
    Py_CLEAR(self->settings);
    Py_CLEAR(self->transforms);
    Py_CLEAR(self->rules);
    Py_CLEAR(self->lists);
    Py_CLEAR(self->dict);
    return 0;
}

static void application_dealloc(ApplicationObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)application_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef application_members[] = {
    {"settings", T_OBJECT_EX, offsetof(ApplicationObject, settings), 0, "The settings dict."},
    {"transforms", T_OBJECT_EX, offsetof(ApplicationObject, transforms), 0, "Output transform classes."},
    {"__dictoffset__", T_PYSSIZET, offsetof(ApplicationObject, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ApplicationObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef application_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(application_doc, "The native half of tornadoc.web.Application.");

static PyType_Slot application_slots[] = {
    {Py_tp_new, application_new},       {Py_tp_dealloc, application_dealloc},   {Py_tp_traverse, application_traverse},
    {Py_tp_clear, application_clear},   {Py_tp_setattro, application_setattro}, {Py_tp_members, application_members},
    {Py_tp_getset, application_getset}, {Py_tp_doc, (void *)application_doc},   {0, NULL},
};

static PyType_Spec application_spec = {
    .name = "tornadoc._native.Application",
    .basicsize = sizeof(ApplicationObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = application_slots,
};

int application_setup_types(PyObject *module, struct native_state *state)
{
    return native_add_type(module, &application_spec, &state->application_type);
}
