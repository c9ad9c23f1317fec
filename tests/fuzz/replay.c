/* Runs a fuzz target once for each file named: the corpus as a test, with any compiler. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    must(fseek(file, 0, SEEK_END) == 0);
    long size = ftell(file);
    must(size >= 0 && fseek(file, 0, SEEK_SET) == 0);

    /* Exactly as large as the file, so that a sanitizer sees a read behind it. */
    uint8_t *data = malloc(size ? (size_t)size : 1);
    must(data);
    must(fread(data, 1, (size_t)size, file) == (size_t)size);
    must(fclose(file) == 0);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
}

int main(int argc, char **argv)
{
    /* An empty corpus would pass without having tested anything. */
    if (argc < 2) {
        fprintf(stderr, "no corpus\n");
        return EXIT_FAILURE;
    }
    for (int i = 1; i < argc; i++) replay(argv[i]);
    printf("%d inputs\n", argc - 1);
    return EXIT_SUCCESS;
}
