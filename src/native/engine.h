/* The engine: one epoll set with its timers. tornadoc's event loop waits in it and drives it; any other asyncio loop watches the
 * set's own descriptor and calls run(). */
#ifndef NATIVE_ENGINE_H
#define NATIVE_ENGINE_H

#include "module.h"

#include <stdbool.h>

#include "core/http_response.h"
#include "core/poller.h"
#include "core/timers.h"

#define ENGINE_SCRATCH 65536 /* bytes received at once; Tornado's read_chunk_size */
/* The same for transports, and the size of the scratch: near asyncio's 256 KiB, in whole segments of the loopback interface
 * (65,483 bytes of payload). Reads that cut segments made echoes of 1 MiB cost half as much again in the kernel. */
#define ENGINE_BULK (4 * 65483)

/* What the engine calls on an object that it serves. 0, or -1 with an exception that must leave the loop. */
struct engine_kind {
    int (*on_event)(PyObject *owner, uint32_t events); /* EPOLL* bits of its descriptor */
    int (*on_turn)(PyObject *owner);                   /* after engine_schedule */
    void (*on_close)(PyObject *owner);                 /* the engine closes: let go of the descriptor, tell who waits */
};

/* A descriptor in the engine's set and a place in its queue; embedded in the object that owns the descriptor. The engine holds
 * a reference to that object while it watches the descriptor, and another one while the source is scheduled. */
struct engine_source {
    const struct engine_kind *kind;
    PyObject *owner; /* borrowed: the object that embeds this */
    struct engine_source *next_ready;
    int fd; /* -1 while it is not watched */
    uint32_t slot;
    bool scheduled;
};

typedef struct engine_object {
    PyObject_HEAD
    struct native_state *state;
    struct td_poller poller;
    struct td_timers timers;
    int timer_fd; /* both -1 in a driven engine: its loop looks at the queue and the timers before it waits */
    int wake_fd;
    uint32_t timer_slot;
    uint32_t wake_slot;
    uint64_t armed;    /* the deadline that timer_fd is set to */
    uint32_t runs;     /* calls of run(): tells one iteration of the loop from the next */
    uint64_t now;      /* monotonic, of the current batch */
    char *scratch;     /* owned; input of the connection that is being read, only between a recv and the next call out */
    PyObject *sockets; /* owned dict: descriptor -> what waits for a socket's sake (socket_watch.c); NULL if none did */
    void (*release)(struct engine_object *engine, int fd); /* frees a descriptor of `sockets` for another source */
    struct engine_source *ready;                           /* to go on with, linked by next_ready */
    struct engine_source **ready_end;
    struct td_date_cache date;
    const size_t *due;      /* borrowed: how many callbacks the loop that drives it has to run; NULL: that is not known */
    PyObject *running_loop; /* borrowed: the event loop of ours that is running it; NULL outside of an iteration */
    bool driven;            /* by tornadoc's event loop, which keeps the epoll set when the engine is closed */
    bool keep_files;        /* while it closes: files that the program has made, and may have in hand, stay open */
    bool closed;
    PyObject *weakrefs;
} EngineObject;

/* An engine that an event loop of ours drives. New reference. */
EngineObject *engine_make_driven(struct native_state *state);
/* For the driving loop. Is there something to do without waiting for a descriptor? */
bool engine_is_ready(const EngineObject *engine);
/* The earliest deadline of the engine's timers. */
uint64_t engine_deadline(const EngineObject *engine);
/* Dispatches the batch that was fetched, runs what is due and what was scheduled. 0, or -1 with an exception that must leave the
 * loop; the rest of the batch waits for the next call. */
int engine_turn(EngineObject *engine);
/* Gives the epoll set up, after close(). */
void engine_release(EngineObject *engine);

void engine_source_init(struct engine_source *source, const struct engine_kind *kind, PyObject *owner);
/* Watches a descriptor. 0, or -1 with an exception (RuntimeError once the engine is closed). */
int engine_watch(EngineObject *engine, struct engine_source *source, int fd, uint32_t events);
/* A source of this kind (NULL: of any) that watches this descriptor; NULL if there is none. Looks at all of them: for rare
 * occasions. */
struct engine_source *engine_find(EngineObject *engine, const struct engine_kind *kind, int fd);
/* The same, with FileExistsError if the kernel says that the set has the descriptor already. */
int engine_watch_new(EngineObject *engine, struct engine_source *source, int fd, uint32_t events);
/* To be called before the descriptor is put into the set by another way than the functions above. */
void engine_release_socket(EngineObject *engine, int fd);
/* Changes the events of a watched descriptor. 0, or -1 with OSError. */
int engine_rewatch(EngineObject *engine, struct engine_source *source, uint32_t events);
/* Stops watching, before the descriptor is closed, and drops the engine's reference: the caller has another one. A source that
 * is not watched is left alone. */
void engine_unwatch(EngineObject *engine, struct engine_source *source);
/* The same when the descriptor was closed already. */
void engine_forget(EngineObject *engine, struct engine_source *source);
/* Sets a timer, keeping the kernel's one at the earliest deadline. 0, or -1 with MemoryError. */
int engine_set_timer(EngineObject *engine, struct td_timer *timer, uint64_t deadline);
/* Has on_turn called in this loop iteration or the next, once. */
void engine_schedule(EngineObject *engine, struct engine_source *source);
/* A Future of the running loop, as asyncio.Future() makes it; engine may be NULL. On a loop of ours asyncio need not look for the
 * loop, which costs it a system call before Python 3.12. New reference. */
PyObject *engine_make_future(struct native_state *state, const EngineObject *engine);
/* May the loop have callbacks to run, which were there before what the engine does next? */
bool engine_has_callbacks(const EngineObject *engine);
/* The clock of the current batch, or the real one outside of a batch. */
uint64_t engine_now(EngineObject *engine);

#endif
