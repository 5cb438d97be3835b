/* See clock.h. */
#include "clock.h"

#include <time.h>

uint64_t td_clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double td_clock_wall(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint64_t td_clock_after(uint64_t now, double seconds)
{
    if (seconds <= 0) {
        return now;
    }
    if (!(seconds < 9e9)) {
        return TD_NEVER;
    }
    return now + (uint64_t)(seconds * 1e9);
}
