/* vatyard_man FOLDER DATE VATBROKER VATHOST: writes all manual pages below FOLDER. */
#include "cli/man/page.h"

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: vatyard_man FOLDER DATE VATBROKER VATHOST\n");
        return 2;
    }
    press_t press = {argv[1], argv[2]};
    bool good = write_command_pages(&press);
    good = write_cluster_page(&press) && good;
    good = write_program_page(&press, argv[3]) && good;
    return write_program_page(&press, argv[4]) && good ? 0 : 1;
}
