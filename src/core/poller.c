/* See poller.h. */
#include "poller.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "alloc.h"

#define NO_SLOT UINT32_MAX

static uint64_t event_key(const struct td_poller *poller, uint32_t slot)
{
    return ((uint64_t)poller->slots[slot].generation << 32) | slot;
}

enum td_status td_poller_init(struct td_poller *poller)
{
    poller->slots = NULL;
    poller->slot_count = 0;
    poller->free_slot = NO_SLOT;
    poller->batch_next = 0;
    poller->batch_len = 0;
    poller->epfd = epoll_create1(EPOLL_CLOEXEC);
    return poller->epfd < 0 ? TD_SYS : TD_OK;
}

void td_poller_destroy(struct td_poller *poller)
{
    if (poller->epfd >= 0) {
        close(poller->epfd);
        poller->epfd = -1;
    }
    td_free(poller->slots);
    poller->slots = NULL;
    poller->slot_count = 0;
    poller->free_slot = NO_SLOT;
}

static enum td_status grow_slots(struct td_poller *poller)
{
    uint32_t count = poller->slot_count ? poller->slot_count * 2 : 64;
    struct td_poll_slot *slots = td_realloc(poller->slots, count * sizeof(*slots));
    if (slots == NULL) {
        return TD_NOMEM;
    }
    for (uint32_t i = poller->slot_count; i < count; i++) {
        slots[i] = (struct td_poll_slot){.generation = 1, .next_free = i + 1 < count ? i + 1 : NO_SLOT};
    }
    poller->free_slot = poller->slot_count;
    poller->slots = slots;
    poller->slot_count = count;
    return TD_OK;
}

static void free_slot(struct td_poller *poller, uint32_t slot)
{
    struct td_poll_slot *entry = &poller->slots[slot];
    entry->owner = NULL;
    entry->fn = NULL;
    entry->generation++;
    entry->next_free = poller->free_slot;
    poller->free_slot = slot;
}

/* `replace`: may take the registration of a descriptor that the set has already. */
static enum td_status add(struct td_poller *poller, int fd, uint32_t events, const struct td_poll_slot *served, bool replace,
                          uint32_t *slot)
{
    if (poller->free_slot == NO_SLOT && grow_slots(poller) != TD_OK) {
        return TD_NOMEM;
    }
    uint32_t index = poller->free_slot;
    struct td_poll_slot *entry = &poller->slots[index];
    struct epoll_event event = {.events = events, .data.u64 = event_key(poller, index)};
    if (epoll_ctl(poller->epfd, EPOLL_CTL_ADD, fd, &event) < 0 &&
        (!replace || errno != EEXIST || epoll_ctl(poller->epfd, EPOLL_CTL_MOD, fd, &event) < 0)) {
        return TD_SYS;
    }
    poller->free_slot = entry->next_free;
    entry->owner = served->owner;
    entry->fn = served->fn;
    *slot = index;
    return TD_OK;
}

enum td_status td_poller_add(struct td_poller *poller, int fd, uint32_t events, td_poll_fn fn, void *owner, uint32_t *slot)
{
    return add(poller, fd, events, &(struct td_poll_slot){.fn = fn, .owner = owner}, true, slot);
}

enum td_status td_poller_add_new(struct td_poller *poller, int fd, uint32_t events, td_poll_fn fn, void *owner, uint32_t *slot)
{
    return add(poller, fd, events, &(struct td_poll_slot){.fn = fn, .owner = owner}, false, slot);
}

enum td_status td_poller_modify(struct td_poller *poller, int fd, uint32_t events, uint32_t slot)
{
    struct epoll_event event = {.events = events, .data.u64 = event_key(poller, slot)};
    if (epoll_ctl(poller->epfd, EPOLL_CTL_MOD, fd, &event) < 0 &&
        (errno != ENOENT || epoll_ctl(poller->epfd, EPOLL_CTL_ADD, fd, &event) < 0)) {
        return TD_SYS;
    }
    return TD_OK;
}

void td_poller_remove(struct td_poller *poller, int fd, uint32_t slot)
{
    /* A failure means that the kernel knows the descriptor no more; the generation drops what it may still have queued. */
    (void)epoll_ctl(poller->epfd, EPOLL_CTL_DEL, fd, NULL);
    free_slot(poller, slot);
}

void td_poller_forget(struct td_poller *poller, uint32_t slot)
{
    free_slot(poller, slot);
}

int td_poller_wait(struct td_poller *poller, int timeout)
{
    if (poller->batch_next < poller->batch_len) {
        return poller->batch_len - poller->batch_next;
    }
    poller->batch_next = 0;
    poller->batch_len = 0;
    int count = epoll_wait(poller->epfd, poller->batch, TD_POLL_BATCH, timeout);
    if (count > 0) {
        poller->batch_len = count;
    }
    return count;
}

int td_poller_fetch(struct td_poller *poller)
{
    int count = td_poller_wait(poller, 0);
    return count < 0 ? 0 : count;
}

/* Whom an event of the batch is for; NULL: its descriptor was removed since. */
static const struct td_poll_slot *find_slot(const struct td_poller *poller, const struct epoll_event *event)
{
    uint32_t slot = (uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    if (slot >= poller->slot_count) {
        return NULL;
    }
    const struct td_poll_slot *entry = &poller->slots[slot];
    return entry->generation == generation && entry->owner != NULL ? entry : NULL;
}

int td_poller_dispatch(struct td_poller *poller)
{
    while (poller->batch_next < poller->batch_len) {
        const struct epoll_event *event = &poller->batch[poller->batch_next++];
        const struct td_poll_slot *entry = find_slot(poller, event);
        if (entry != NULL && entry->fn(entry->owner, event->events) < 0) {
            return -1;
        }
    }
    return 0;
}

int td_poller_dispatch_only(struct td_poller *poller, td_poll_fn fn)
{
    for (int i = poller->batch_next; i < poller->batch_len; i++) {
        struct epoll_event *event = &poller->batch[i];
        const struct td_poll_slot *entry = find_slot(poller, event);
        if (entry != NULL && entry->fn == fn) {
            event->data.u64 = NO_SLOT;
            if (fn(entry->owner, event->events) < 0) {
                return -1;
            }
        }
    }
    return 0;
}
