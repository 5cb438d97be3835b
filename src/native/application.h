/* Application: the native half, and the choice of a handler for a request.
 *
 * Tornado's rules are compiled (tornadoc/routing.py) to a tree of tuples that is walked here. The tree is used only while every
 * list of rules in it holds the same objects as when it was made and no rule, matcher or router had an attribute set since. */
#ifndef NATIVE_APPLICATION_H
#define NATIVE_APPLICATION_H

#include "module.h"

#include <stdbool.h>
#include <stdint.h>

struct request_object;

/* Settings that requests ask for. */
/* clang-format off */
#define APPLICATION_SETTINGS(X) \
    X(xsrf_cookies) X(cross_origin_protection) X(compiled_template_cache) X(static_hash_cache) X(log_function)
/* clang-format on */

enum application_setting {
#define X(name) SETTING_##name,
    APPLICATION_SETTINGS(X)
#undef X
        SETTING_COUNT
};

typedef struct application_object {
    PyObject_HEAD
    struct native_state *state;
    PyObject *settings;             /* owned, Tornado's attribute */
    PyObject *transforms;           /* owned, Tornado's attribute */
    uint64_t settings_version;      /* guard_dict_version() of the dict that `found` is about; 0: none */
    PyObject *found[SETTING_COUNT]; /* borrowed from it, NULL when absent */
    PyObject *rules;                /* owned: the compiled default_router, NULL until used */
    PyObject *lists;                /* owned: tuple of (rules list, tuple of its items) */
    uint64_t classes;               /* version tags of Tornado's routing classes at that time */
    unsigned long epoch;            /* state->route_epoch when it was compiled */
    bool hooks_set;                 /* an attribute of the object shadows a hook: look closer */
    PyObject *dict;
    PyObject *weakrefs;
} ApplicationObject;

/* What the routing found. All owned by the holder; released with route_clear. */
struct route {
    PyObject *handler_class;  /* a RequestHandler class, or NULL: then `delegate` is set */
    PyObject *handler_kwargs; /* dict or NULL */
    PyObject *path_args;      /* tuple of bytes or None; or NULL */
    PyObject *path_kwargs;    /* dict of name -> the same; or NULL */
    PyObject *delegate;       /* HTTPMessageDelegate from Python's find_handler */
};

void route_clear(struct route *route);

/* The application hooks (guard.h) that the class or the object changes. */
uint64_t application_mask(ApplicationObject *self);
/* Finds the handler for a request, as Application.find_handler. 0 with *route filled, or -1 with an exception. */
int application_find(ApplicationObject *self, struct request_object *request, struct route *route);
/* settings.get(), borrowed, NULL when absent. No exception. */
PyObject *application_setting(ApplicationObject *self, enum application_setting setting);

#endif
