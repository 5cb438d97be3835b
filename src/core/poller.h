/* An epoll set whose events name a slot and a generation, so that an event of a closed descriptor never reaches its successor.
 *
 * Connections are registered once, edge-triggered, for input and output together: a busy one costs no epoll_ctl. */
#ifndef TD_POLLER_H
#define TD_POLLER_H

#include <stdint.h>
#include <sys/epoll.h>

#include "status.h"

#define TD_POLL_BATCH 256 /* events taken from the kernel at once */

/* Called with the owner given at registration and the EPOLL* bits. 0, or -1 to stop dispatching (the rest of the batch is kept).
 */
typedef int (*td_poll_fn)(void *owner, uint32_t events);

struct td_poll_slot {
    void *owner; /* borrowed from the registrant until td_poller_remove; NULL while free */
    td_poll_fn fn;
    uint32_t generation;
    uint32_t next_free;
};

struct td_poller {
    int epfd;
    struct td_poll_slot *slots; /* owned */
    uint32_t slot_count;
    uint32_t free_slot;
    int batch_next; /* first event of `batch` that was not dispatched yet */
    int batch_len;
    struct epoll_event batch[TD_POLL_BATCH];
};

/* TD_SYS with errno when epoll_create1 fails. */
TD_MUST_CHECK enum td_status td_poller_init(struct td_poller *poller);
void td_poller_destroy(struct td_poller *poller);

/* Registers fd; *slot is the handle for removal. A registration that the kernel still has, of a descriptor that was duplicated
 * and closed, is taken over. TD_NOMEM or TD_SYS. */
TD_MUST_CHECK enum td_status td_poller_add(struct td_poller *poller, int fd, uint32_t events, td_poll_fn fn, void *owner,
                                           uint32_t *slot);
/* The same, for an fd that the set must not have yet: TD_SYS with EEXIST. */
TD_MUST_CHECK enum td_status td_poller_add_new(struct td_poller *poller, int fd, uint32_t events, td_poll_fn fn, void *owner,
                                               uint32_t *slot);
/* Changes the events of a registered fd; registers it anew if it was closed and opened again meanwhile. TD_SYS. */
TD_MUST_CHECK enum td_status td_poller_modify(struct td_poller *poller, int fd, uint32_t events, uint32_t slot);
/* Forgets fd (still open) and drops its events that are waiting in the batch. */
void td_poller_remove(struct td_poller *poller, int fd, uint32_t slot);
/* The same for one that is closed: the kernel has forgotten it, and its number may be another's. */
void td_poller_forget(struct td_poller *poller, uint32_t slot);

/* Takes a batch from the kernel without waiting, unless one is still being dispatched. The number of events to dispatch. */
int td_poller_fetch(struct td_poller *poller);
/* The same, but waits up to `timeout` milliseconds (-1: for ever) when nothing is ready. The batch belongs to this call until it
 * returns; descriptors may be added and removed meanwhile by other threads. -1 with errno, EINTR after a signal. */
TD_MUST_CHECK int td_poller_wait(struct td_poller *poller, int timeout);
/* Dispatches the batch. 0, or -1 when a callback returned -1: call again to go on with the rest. */
int td_poller_dispatch(struct td_poller *poller);
/* Dispatches those events of the batch that are for this callback, and keeps the others. 0 or -1, likewise. */
int td_poller_dispatch_only(struct td_poller *poller, td_poll_fn fn);

#endif
