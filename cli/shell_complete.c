#include "cli/shell_complete.h"

#include <stdbool.h>
#include <string.h>

#include "cli/value_read.h"

/* Is the cursor inside a string or comment? */
static bool in_quotes(const char *line, size_t cursor)
{
    char quote = 0;

    for (size_t i = 0; i < cursor; i++) {
        if (quote && line[i] == '\\')
            i++;
        else if (quote && line[i] == quote)
            quote = 0;
        else if (!quote && (line[i] == '"' || line[i] == '\''))
            quote = line[i];
        else if (!quote && line[i] == '/' && i + 1 < cursor && line[i + 1] == '/')
            return true;
    }
    return quote != 0;
}

static bool name_char(char c) { return word_char(c) || c == '-' || c == '/' || c == '@'; }

/* "ko3", "kp12": the beginning of a reference. */
static bool is_issuer(const char *at, size_t len)
{
    if (len < 3 || at[0] != 'k' || (at[1] != 'o' && at[1] != 'p')) return false;
    return strspn(at + 2, "0123456789") >= len - 2;
}

place_t place_find(const char *line, size_t cursor)
{
    size_t first = strspn(line, " \t"), from = cursor;
    kref_t ignored;

    if (in_quotes(line, cursor)) return (place_t){.kind = PLACE_NOTHING};
    while (from && name_char(line[from - 1])) from--;
    if (from == first + 1 && line[first] == '.')
        return (place_t){.kind = PLACE_COMMAND, .from = from};
    if (!from || line[from - 1] != '.') return (place_t){.kind = PLACE_WORD, .from = from};

    size_t end = from - 1, begin = end;
    while (begin && name_char(line[begin - 1])) begin--;
    if (begin == end) return (place_t){.kind = PLACE_NOTHING};
    if (is_issuer(line + begin, end - begin)) return (place_t){.kind = PLACE_REF, .from = begin};
    /* ko3.7 has a point in it. */
    if (begin && line[begin - 1] == '.') {
        size_t issuer = begin - 1;
        while (issuer && word_char(line[issuer - 1])) issuer--;
        if (!kref_parse(line + issuer, end - issuer, &ignored))
            return (place_t){.kind = PLACE_NOTHING};
        begin = issuer;
    }
    return (place_t){PLACE_METHOD, from, begin, end};
}

size_t common_len(char *const *words, size_t count)
{
    size_t len = strlen(words[0]);

    for (size_t i = 1; i < count; i++) {
        size_t same = 0;
        while (same < len && words[i][same] == words[0][same]) same++;
        len = same;
    }
    while (len && ((unsigned char)words[0][len] & 0xc0) == 0x80) len--;
    return len;
}
