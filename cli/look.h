/* Rows of the broker's lists as people and programs see them: what ps, status, cluster ls, inspect and
 * the registry share. */
#pragma once
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/link.h"
#include "cli/table.h"

#define TEXT(text) (int)(text).len, (text).at

/* Milliseconds since 1970. */
uint64_t wall_ms(void);
/* "2d4h", "3m12s" since MS after 1970; "-" of 0. */
const char *age(uint64_t ms, char ret[32]);
/* "v3 v7" -> ["v3", "v7"]. */
json_t *names_json(text_t names);

/* The hosts that are not connected. The caller frees RET->at. */
typedef struct {
    host_t *at;
    size_t count;
} away_t;
CHECKED err_t away_get(link_t *link, away_t *ret, fail_t *f);

json_t *vat_json(const msg_vat_row_t *vat, const away_t *away);

/* Lists that are gotten whole: rows for people in a table, for programs in a JSON array. */
typedef struct {
    const char *head; /* of the table */
    const char *id;   /* the name of a row's number in JSON */
    err_t (*get)(link_t *link, table_t *table, json_t *json, fail_t *f);
} list_t;
extern const list_t all_clusters, all_hosts;

/* Shows the whole of LIST. */
CHECKED err_t list_show(cli_t *cli, link_t *link, const list_t *list);
/* The row whose number or else whose name is WORD, the caller's; NULL when there is none. */
CHECKED err_t list_find(link_t *link, const list_t *list, const char *word, json_t **ret,
                        fail_t *f);
