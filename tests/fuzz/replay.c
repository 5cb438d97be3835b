/* A main for a fuzz target without libFuzzer: runs it once on each file named on the command line. */
#include "fuzz.h"

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 2;
        }
        static char data[1 << 20];
        size_t len = fread(data, 1, sizeof data, file);
        fclose(file);
        char *input = exact_copy(data, len);
        fprintf(stderr, "%s: %zu bytes\n", argv[i], len);
        LLVMFuzzerTestOneInput((const uint8_t *)input, len);
        free(input);
    }
    printf("replayed %d files\n", argc - 1);
    return 0;
}
