/* pages_sql FILE [SQL...]: runs each statement on a database of ours that nobody has open, and prints
 * how many rows it changed; without SQL, the lines of stdin, without syncs.
 * For tests that need a database to say something wrong: sqlite3 writes no sums. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pages/pages.h"

static sqlite3 *db;

static void run(const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "pages_sql: %s: %.200s\n", sqlite3_errmsg(db), sql);
    exit(1);
}

static void run_lines(void)
{
    char *line = NULL;
    size_t room = 0;
    run("PRAGMA synchronous = OFF");
    while (getline(&line, &room, stdin) > 0) run(line);
    free(line);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    if (pages_open(argv[1], SQLITE_OPEN_READWRITE, &db) != SQLITE_OK) {
        fprintf(stderr, "pages_sql: %s: %s\n", argv[1], sqlite3_errmsg(db));
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        run(argv[i]);
        printf("%d\n", sqlite3_changes(db));
    }
    if (argc == 2) run_lines();
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
