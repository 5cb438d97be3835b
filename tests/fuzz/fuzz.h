/* What the fuzz targets share. Each target is one file with LLVMFuzzerTestOneInput; it aborts when a property does not hold.
 * libFuzzer calls it, or replay.c with the files of a corpus. */
#ifndef TD_FUZZ_H
#define TD_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property of the code under test; unlike assert, never compiled away. */
#define HOLDS(condition)                                                                                                         \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                                       \
            abort();                                                                                                             \
        }                                                                                                                        \
    } while (0)

/* A copy in an allocation of exactly that size, so that the sanitizer sees one byte read too many. The caller frees it. */
static inline char *exact_copy(const char *data, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    HOLDS(copy != NULL);
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

#endif
