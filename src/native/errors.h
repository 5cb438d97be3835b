/* Exceptions on their way from Python callbacks to the logs, and the wording of refused messages. */
#ifndef NATIVE_ERRORS_H
#define NATIVE_ERRORS_H

#include "module.h"

#include <stdbool.h>

#include "core/http_head.h"
#include "core/verdict.h"

/* Takes the pending exception away, with its traceback set. New reference; NULL if there was none. */
PyObject *errors_take(void);
/* Makes it pending again. Steals the reference; NULL is allowed. */
void errors_give(PyObject *exception);
/* Must the pending exception leave the loop (KeyboardInterrupt, SystemExit)? */
bool errors_is_exit(void);

/* An exception where nobody can be told: KeyboardInterrupt and SystemExit leave the loop when the engine's current call ends,
 * others go to sys.unraisablehook, with `source` as the object. Clears it. */
void errors_unraisable(struct native_state *state, PyObject *source);

/* Logs the pending exception with logger.error(message, exc_info=exception) and clears it. 0; -1 with an exception that must
 * leave the loop: it is then not logged. */
int errors_log_uncaught(struct native_state *state, PyObject *logger, const char *message);
/* Logs the pending exception of a callback as IOLoop does ("Exception in callback %r") and clears it. 0 or -1 as above. */
int errors_log_callback(struct native_state *state, PyObject *callback);
/* Hands the pending exception to the loop's exception handler, as asyncio does for a callback. 0 or -1 as above. */
int errors_report(struct native_state *state, const char *message);
/* All logging goes through functions of tornadoc/http1connection.py, so that records name a module as Tornado's do.
 * logger.<method>(format, *args), where a failure to log is reported and not raised. Steals args (a tuple; NULL: one was
 * pending). */
void errors_log(struct native_state *state, PyObject *logger, PyObject *method, const char *format, PyObject *args);

/* The OSError of an errno, as a new reference; NULL with an exception. */
PyObject *errors_os(int number);

/* The HTTPInputError that Tornado raises for this fault, made pending. head may be NULL for faults of the head itself. */
void errors_set_fault(struct native_state *state, const struct td_verdict *why, const struct td_head *head);

#endif
