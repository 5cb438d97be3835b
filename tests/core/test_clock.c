/* The clocks, and timeouts as deadlines. */
#include "clock.h"

#include <math.h>
#include <time.h>

#include "check.h"

static void test_now(void)
{
    uint64_t last = td_clock_monotonic();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = td_clock_monotonic();
        CHECK(now >= last, "time goes on");
        last = now;
    }
    struct timespec before;
    struct timespec after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    uint64_t now = td_clock_monotonic();
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK(now >= (uint64_t)before.tv_sec * 1000000000u + (uint64_t)before.tv_nsec, "not behind the kernel's clock");
    CHECK(now <= (uint64_t)after.tv_sec * 1000000000u + (uint64_t)after.tv_nsec, "nor ahead of it");
    time_t earliest = time(NULL);
    double wall = td_clock_wall();
    /* The coarse clock behind time() may be a tick late. */
    CHECK(wall >= (double)earliest && wall <= (double)time(NULL) + 2, "%f", wall);
}

static void test_after(void)
{
    static const struct {
        uint64_t now;
        double seconds;
        uint64_t deadline;
    } cases[] = {
        {0, 0.0, 0},
        {7, 0.0, 7},
        {7, -0.0, 7},
        {1000, 1.0, 1000001000},
        {0, 0.5, 500000000},
        {0, 1e-9, 1},
        {0, 1e-10, 0},
        {5, 3600.0, 3600000000005},
        {1, 1e9, 1000000000000000001},
        {0, 9e9, TD_NEVER},
        {0, 1e300, TD_NEVER},
        {0, INFINITY, TD_NEVER},
        {123, NAN, TD_NEVER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t deadline = td_clock_after(cases[i].now, cases[i].seconds);
        CHECK(deadline == cases[i].deadline, "case %zu: %llu", i, (unsigned long long)deadline);
    }
    /* The largest timeout that is a real deadline, a century of uptime behind it. */
    uint64_t century = 3155760000u * UINT64_C(1000000000);
    uint64_t late = td_clock_after(century, nextafter(9e9, 0));
    CHECK(late > century && late < TD_NEVER, "%llu", (unsigned long long)late);
}

int main(void)
{
    test_now();
    test_after();
    return check_result("clock");
}
