/* See timers.h. */
#include "timers.h"

#include <stdbool.h>

#include "alloc.h"
#include "clock.h"

void td_timer_init(struct td_timer *timer, int (*fn)(void *owner), void *owner)
{
    *timer = (struct td_timer){.deadline = TD_NEVER, .index = TD_TIMER_IDLE, .fn = fn, .owner = owner};
}

void td_timers_destroy(struct td_timers *timers)
{
    td_free(timers->heap);
    *timers = (struct td_timers){0};
}

static bool earlier(const struct td_timer *a, const struct td_timer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->sequence < b->sequence;
}

static void place(struct td_timers *timers, struct td_timer *timer, size_t index)
{
    timers->heap[index] = timer;
    timer->index = index;
}

static void sift_up(struct td_timers *timers, struct td_timer *timer, size_t index)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!earlier(timer, timers->heap[parent])) {
            break;
        }
        place(timers, timers->heap[parent], index);
        index = parent;
    }
    place(timers, timer, index);
}

static void sift_down(struct td_timers *timers, struct td_timer *timer, size_t index)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= timers->count) {
            break;
        }
        if (child + 1 < timers->count && earlier(timers->heap[child + 1], timers->heap[child])) {
            child++;
        }
        if (!earlier(timers->heap[child], timer)) {
            break;
        }
        place(timers, timers->heap[child], index);
        index = child;
    }
    place(timers, timer, index);
}

enum td_status td_timers_set(struct td_timers *timers, struct td_timer *timer, uint64_t deadline)
{
    if (timer->index == TD_TIMER_IDLE && timers->count == timers->capacity) {
        size_t capacity = timers->capacity ? timers->capacity * 2 : 64;
        struct td_timer **heap = td_realloc(timers->heap, capacity * sizeof(*heap));
        if (heap == NULL) {
            return TD_NOMEM;
        }
        timers->heap = heap;
        timers->capacity = capacity;
    }
    td_timers_remove(timers, timer);
    /* Not ahead of timers that were due before it, or td_timers_run would leave those. */
    timer->deadline = deadline < timers->floor ? timers->floor : deadline;
    timer->sequence = timers->sequence++;
    timers->count++;
    sift_up(timers, timer, timers->count - 1);
    return TD_OK;
}

void td_timers_remove(struct td_timers *timers, struct td_timer *timer)
{
    size_t index = timer->index;
    if (index == TD_TIMER_IDLE) {
        return;
    }
    timer->index = TD_TIMER_IDLE;
    struct td_timer *last = timers->heap[--timers->count];
    if (last == timer) {
        return;
    }
    if (index > 0 && earlier(last, timers->heap[(index - 1) / 2])) {
        sift_up(timers, last, index);
    }
    else {
        sift_down(timers, last, index);
    }
}

uint64_t td_timers_next(const struct td_timers *timers)
{
    return timers->count ? timers->heap[0]->deadline : TD_NEVER;
}

struct td_timer *td_timers_take_due(struct td_timers *timers, uint64_t now)
{
    struct td_timer *timer = timers->count ? timers->heap[0] : NULL;
    if (timer == NULL || timer->deadline > now) {
        return NULL;
    }
    td_timers_remove(timers, timer);
    return timer;
}

int td_timers_run(struct td_timers *timers, uint64_t now)
{
    /* A timer set by a callback has a later sequence: it waits for the next run even when it is due already. */
    uint64_t limit = timers->sequence;
    timers->floor = now;
    while (timers->count && timers->heap[0]->deadline <= now && timers->heap[0]->sequence < limit) {
        struct td_timer *timer = timers->heap[0];
        td_timers_remove(timers, timer);
        if (timer->fn(timer->owner) < 0) {
            return -1;
        }
    }
    return 0;
}
