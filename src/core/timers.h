/* Deadlines: an intrusive binary heap, first in first out among equals. */
#ifndef TD_TIMERS_H
#define TD_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define TD_TIMER_IDLE SIZE_MAX /* td_timer.index of a timer that is not in a heap */

struct td_timer {
    uint64_t deadline; /* nanoseconds of td_clock_monotonic */
    uint64_t sequence;
    size_t index;
    int (*fn)(void *owner); /* 0, or -1 to stop td_timers_run */
    void *owner;            /* borrowed while the timer is in the heap */
};

struct td_timers {
    struct td_timer **heap; /* owned array of borrowed timers */
    size_t count;
    size_t capacity;
    uint64_t sequence;
    uint64_t floor; /* `now` of the last run: no timer is set for an earlier time */
};

void td_timer_init(struct td_timer *timer, int (*fn)(void *owner), void *owner);
void td_timers_destroy(struct td_timers *timers);
/* Puts the timer in, or moves it to another deadline. TD_NOMEM leaves it as it was. */
TD_MUST_CHECK enum td_status td_timers_set(struct td_timers *timers, struct td_timer *timer, uint64_t deadline);
/* Takes it out; an idle one is left alone. */
void td_timers_remove(struct td_timers *timers, struct td_timer *timer);
/* The earliest deadline, or TD_NEVER. */
uint64_t td_timers_next(const struct td_timers *timers);
/* Takes out the earliest timer if it is due at `now`; NULL when none is. For owners that do not use td_timers_run. */
struct td_timer *td_timers_take_due(struct td_timers *timers, uint64_t now);
/* Runs what is due at `now` and was set before this call. Callbacks may set and remove any timer. 0, or -1 from a callback. */
int td_timers_run(struct td_timers *timers, uint64_t now);

#endif
