/* xs_golden SCRIPT SNAPSHOT: evaluates the bundled supervisor in a new machine and keeps what came
 * of it. Runs when Vatyard is built. */
#include <stdio.h>
#include <stdlib.h>

#include "vathost/xs/machine.h"

static text_t read_script(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) return (text_t){NULL, 0};
    long size = ftell(file);
    rewind(file);
    char *at = size > 0 ? malloc((size_t)size) : NULL;
    bool whole = at && fread(at, 1, (size_t)size, file) == (size_t)size;
    fclose(file);
    return whole ? (text_t){at, (size_t)size} : (text_t){NULL, 0};
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: xs_golden SCRIPT SNAPSHOT\n");
        return 2;
    }
    text_t script = read_script(argv[1]);
    if (!script.at) {
        fprintf(stderr, "xs_golden: %s cannot be read\n", argv[1]);
        return 3;
    }
    xsMachine *machine = machine_new();
    char error[4096];
    if (!machine || !machine_eval(machine, script, error, sizeof error)) {
        fprintf(stderr, "xs_golden: %s: %s\n", argv[1], machine ? error : "no machine");
        return 1;
    }
    if (machine_save(machine, argv[2])) {
        fprintf(stderr, "xs_golden: %s cannot be written\n", argv[2]);
        return 1;
    }
    xsDeleteMachine(machine);
    free((char *)(uintptr_t)script.at);
    return 0;
}
