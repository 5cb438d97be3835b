/* The two clocks: monotonic for deadlines, wall for what HTTP and Tornado show. */
#ifndef TD_CLOCK_H
#define TD_CLOCK_H

#include <stdint.h>

#define TD_NEVER UINT64_MAX /* a deadline that does not come */

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t td_clock_monotonic(void);
/* Seconds since the epoch, as Python's time.time(). */
double td_clock_wall(void);
/* A timeout in seconds as a deadline after `now`, which is what a negative one gives; saturates at TD_NEVER. */
uint64_t td_clock_after(uint64_t now, double seconds);

#endif
