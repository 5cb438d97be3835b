/* What every core test program shares: checks that count failures, and input that ends at an unreadable page.
 *
 * A test program is one file test_*.c with a main that ends in `return check_result("name");`. The Makefile finds it. */
#ifndef TD_CHECK_H
#define TD_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long check_count;
static unsigned long check_failures;

/* Counts a check; prints file, line, and a printf-style description of a failure. Goes on after it. */
#define CHECK(condition, ...)                                                                                                    \
    do {                                                                                                                         \
        check_count++;                                                                                                           \
        if (!(condition) && check_failures++ < 50) {                                                                             \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                                      \
            fprintf(stderr, __VA_ARGS__);                                                                                        \
            fputc('\n', stderr);                                                                                                 \
        }                                                                                                                        \
    } while (0)

/* A string literal that may hold NULs, as pointer and length. */
#define BYTES(literal) (literal), sizeof(literal) - 1

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline int check_result(const char *program)
{
    printf("%s: %lu checks, %lu failed\n", program, check_count, check_failures);
    return check_failures == 0 ? 0 : 1;
}

/* Readable memory of `size` bytes, then a page that faults when touched. */
struct guarded {
    char *pages; /* owned, mapped */
    size_t size; /* bytes before the guard page */
    size_t page;
};

static inline struct guarded guarded_open(size_t size)
{
    struct guarded area;
    area.page = (size_t)sysconf(_SC_PAGESIZE);
    area.size = (size + area.page - 1) / area.page * area.page;
    area.pages = mmap(NULL, area.size + area.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area.pages == MAP_FAILED || mprotect(area.pages + area.size, area.page, PROT_NONE) != 0) {
        perror("guard page");
        exit(2);
    }
    return area;
}

/* Copies the bytes to the end of the area. The result is valid until the next call. */
static inline const char *guarded_copy(struct guarded *area, const char *data, size_t len)
{
    if (len > area->size) {
        fprintf(stderr, "guarded_copy: %zu bytes do not fit\n", len);
        exit(2);
    }
    char *start = area->pages + area->size - len;
    if (len > 0) {
        memcpy(start, data, len);
    }
    return start;
}

static inline void guarded_close(struct guarded *area)
{
    munmap(area->pages, area->size + area->page);
}

#endif
