/* The engine: one epoll set with its timers, driven by any asyncio loop through the set's own descriptor. */
#ifndef NATIVE_ENGINE_H
#define NATIVE_ENGINE_H

#include "module.h"

#include <stdbool.h>

#include "core/http_response.h"
#include "core/poller.h"
#include "core/timers.h"

#define ENGINE_SCRATCH 65536 /* bytes received at once; Tornado's read_chunk_size */

struct server_connection;

typedef struct engine_object {
    PyObject_HEAD
    struct native_state *state;
    struct td_poller poller;
    struct td_timers timers;
    int timer_fd;
    int wake_fd;
    uint32_t timer_slot;
    uint32_t wake_slot;
    uint64_t armed; /* the deadline that timer_fd is set to */
    uint32_t runs;  /* calls of run(): tells one iteration of the loop from the next */
    uint64_t now;   /* monotonic, of the current batch */
    char *scratch;  /* owned; input of the connection that is being read, only between a recv and the next call out */
    struct server_connection *ready; /* connections to go on with, linked by next_ready; each holds a reference */
    struct server_connection **ready_end;
    struct td_date_cache date;
    bool closed;
    PyObject *weakrefs;
} EngineObject;

/* Watches a descriptor for an object of this module and holds the object until engine_unwatch. 0, or -1 with an exception. */
int engine_watch(EngineObject *engine, int fd, uint32_t events, td_poll_fn fn, PyObject *owner, uint32_t *slot);
/* Stops watching and drops that reference: the caller has another one. */
void engine_unwatch(EngineObject *engine, int fd, PyObject *owner, uint32_t slot);
/* Sets a timer, keeping the kernel's one at the earliest deadline. 0, or -1 with MemoryError. */
int engine_set_timer(EngineObject *engine, struct td_timer *timer, uint64_t deadline);
/* Has conn_resume called for the connection in this loop iteration or the next. Takes a reference until then. */
void engine_schedule(EngineObject *engine, struct server_connection *connection);
/* The clock of the current batch, or the real one outside of a batch. */
uint64_t engine_now(EngineObject *engine);

#endif
