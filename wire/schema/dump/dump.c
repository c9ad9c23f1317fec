/* wire_dump: prints what is made from the tables for people and for the fuzzer.
 *
 *   wire_dump protocol      PROTOCOL.md
 *   wire_dump errors        ERRORS.md
 *   wire_dump dictionary    a libFuzzer dictionary
 *   wire_dump corpus DIR    one frame per message */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/err.h"
#include "wire/base/must.h"
#include "wire/codec/codec.h"

/* ---- protocol ----------------------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name, *form;
} kinds[] = { /* in the order of kind_t */
    [KIND_u64] = {"u64", "uint"},
    [KIND_bool] = {"bool", "bool"},
    [KIND_vat] = {"vat", "uint, at most 2^23-1"},
    [KIND_host] = {"host", "uint, at most 2^32-1"},
    [KIND_cluster] = {"cluster", "uint, at most 2^32-1"},
    [KIND_kref] = {"kref", "uint: bit 63 promise, bits 62-40 issuer, bits 39-0 serial; 0 is none"},
    [KIND_krefs] = {"krefs", "bin of 8 bytes big-endian each"},
    [KIND_text] = {"text", "str, valid UTF-8"},
    [KIND_bin] = {"bin", "bin"},
    [KIND_hash] = {"hash", "bin of exactly 32 bytes: BLAKE2b-256; all zero is none"},
    [KIND_id] = {"id", "bin of exactly 16 bytes; all zero is none"},
    [KIND_msgid] = {"msgid", "array [vat, d as u64, n as uint of at most 2^32-1]"},
    [KIND_capdata] = {"capdata", "array [body as bin, slots as krefs]; the limit is the body's"},
    [KIND_resolutions] = {"resolutions", "array [rows, bodies, slots], three bins: see below"},
};
/* clang-format on */

static const char head[] =
    "<!-- Printed by wire_dump from wire/schema/*.def. Do not edit: the build makes it again, and "
    "a\n"
    "     test compares. -->\n"
    "# The protocol of Vatyard\n\n"
    "Versions %d to %d. A session opens with the range that each end speaks (`hello`,\n"
    "`client_hello`); the highest common version holds, and without one the session is refused "
    "with\n"
    "PROTOCOL_RANGE. Within a version nothing changes; a tag is never used again for something "
    "else.\n\n"
    "## Frames\n\n"
    "A frame is one MessagePack array `[tag, field, field, ...]`, the fields in the order below, "
    "all of\n"
    "them there. It is at most %d bytes long. On ZeroMQ it travels as one multipart message of "
    "parts of at\n"
    "most %d bytes; between vathost and worker, behind its length in 4 bytes, big-endian.\n\n"
    "A message has exactly one encoding, and everything else is refused: unsigned integers, bool, "
    "str,\n"
    "bin and array only, each with the shortest head that can hold it; no nil, map, float, "
    "negative\n"
    "number or extension; nothing behind the array; at most %d arrays inside each other.\n\n"
    "| kind | form |\n|---|---|\n";

static const char resolutions[] = "\n`resolutions`: `rows` has six numbers of 8 bytes big-endian "
                                  "for each: the promise (kref), 0\n"
                                  "fulfilled or 1 rejected, where its body begins in `bodies`, the "
                                  "body's length, how many slots stand\n"
                                  "before its own in `slots`, and how many are its own. Bodies and "
                                  "slots follow each other without\n"
                                  "gaps in the order of the rows, and nothing is left over. A body "
                                  "is at most %d bytes long and has at\n"
                                  "most %d slots.\n\n"
                                  "Lists are bytes because a decoder then needs no more memory for "
                                  "a list than the frame is long.\n";

static void print_message(const message_t *message)
{
    printf("\n### %s `0x%02x`\n\n%s: %s\n\n", message->name, (unsigned)message->tag,
           message->direction, message->doc);
    printf("| # | field | kind | limit | |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < message->field_count; i++) {
        const field_t *field = &message->fields[i];
        printf("| %zu | %s | %s | ", i + 1, field->name, kinds[field->kind].name);
        if (field->limit) printf("%zu", field->limit);
        printf(" | %s |\n", field->doc);
    }
}

static void print_protocol(void)
{
    size_t count;
    const message_t *all = message_all(&count);

    printf(head, PROTO_MIN, PROTO_MAX, FRAME_BYTES_MAX, PART_BYTES_MAX, SCAN_DEPTH_MAX);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        printf("| %s | %s |\n", kinds[i].name, kinds[i].form);
    }
    printf(resolutions, CAPDATA_BYTES_MAX, SLOTS_MAX);
    printf("\nA limit counts bytes of text, bin and capdata, and elements of krefs and "
           "resolutions.\n");

    printf("\n## Messages\n\n| tag | name | direction | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        printf("| `0x%02x` | [%s](#%s-0x%02x) | %s | %s |\n", (unsigned)all[i].tag, all[i].name,
               all[i].name, (unsigned)all[i].tag, all[i].direction, all[i].doc);
    }
    for (size_t i = 0; i < count; i++) print_message(&all[i]);
}

/* ---- errors ------------------------------------------------------------------------------- */

static const char *who_text(err_who_t who)
{
    switch (who) {
    case WHO_NOBODY: return "nobody";
    case WHO_USER: return "user";
    case WHO_VAT: return "vat";
    case WHO_PEER: return "peer";
    case WHO_OPERATOR: return "operator";
    case WHO_US: return "us";
    }
    return "";
}

static void print_errors(void)
{
    const err_row_t *row;

    printf(
        "<!-- Printed by wire_dump from wire/base/err.def. Do not edit: the build makes it again, "
        "and a\n"
        "     test compares. -->\n"
        "# Errors\n\n"
        "What the number says is in the first digit: E1 use and input, E2 vats and bundles, E3 "
        "hosts and\n"
        "network, E4 objects, promises and messages, E5 stores, E6 keys and permission, E9 us. "
        "*Who* must\n"
        "act for it to go away. *Exit* is what the program that ends with it exits with.\n\n"
        "| error | name | who | exit | what is wrong | what to try |\n|---|---|---|---|---|---|\n");
    for (unsigned i = 0; (row = err_at(i)); i++) {
        printf("| E%04u | %s | %s | %d | %s | %s |\n", (unsigned)row->err, row->name,
               who_text(row->who), row->exit, row->text, row->hint);
    }
}

/* ---- what the fuzzer begins with ------------------------------------------------------------ */

static void print_dictionary(void)
{
    size_t count;
    const message_t *all = message_all(&count);

    printf(
        "# Printed by wire_dump. Array head and tag of every message, then heads of each kind.\n");
    for (size_t i = 0; i < count; i++) {
        buf_t frame = buf_of(FRAME_BYTES_MAX);
        msg_body_t body = {0};
        must(msg_encode(all[i].tag, &body, &frame) == ERR_OK);
        size_t len = (frame.at[0] == 0xdc ? 3u : 1u) + (all[i].tag < 0x80 ? 1u : 2u);
        printf("%s=\"", all[i].name);
        for (size_t j = 0; j < len; j++) printf("\\x%02x", frame.at[j]);
        printf("\"\n");
        buf_clear(&frame);
    }
    printf("id=\"\\xc4\\x10\"\nhash=\"\\xc4\\x20\"\nslot=\"\\xc4\\x08\"\nrow=\"\\xc4\\x30\"\n"
           "capdata=\"\\x92\\xc4\"\nresolutions=\"\\x93\\xc4\"\nu64=\"\\xcf\"\n");
}

/* A value of each kind that is neither empty nor zero. */
static void sample_field(const field_t *field, msg_body_t *body)
{
    static const kref_t krefs[] = {{UINT64_C(0x0000030000000007)}, {UINT64_C(0x8000030000000009)}};
    static const uint8_t text[] = "#[\"hello\",[\"$0.Alleged: bob\",\"&1\"]]";
    static resolution_t one;
    const capdata_t data = {{text, sizeof text - 1}, {krefs, 2}};
    one = (resolution_t){krefs[1], true, data};
    void *at = (char *)body + field->offset;

    switch (field->kind) {
    case KIND_u64: *(uint64_t *)at = 41; break;
    case KIND_bool: *(bool *)at = true; break;
    case KIND_vat: *(vat_t *)at = (vat_t){3}; break;
    case KIND_host: *(host_t *)at = (host_t){1}; break;
    case KIND_cluster: *(cluster_t *)at = (cluster_t){1}; break;
    case KIND_kref: *(kref_t *)at = krefs[0]; break;
    case KIND_krefs: *(krefs_t *)at = data.slots; break;
    case KIND_text: *(text_t *)at = text_of("hello"); break;
    case KIND_bin: *(bin_t *)at = data.body; break;
    case KIND_hash: memset(at, 0xaa, sizeof(hash_t)); break;
    case KIND_id: memset(at, 0x55, sizeof(id128_t)); break;
    case KIND_msgid: *(msgid_t *)at = (msgid_t){{3}, 41, 2}; break;
    case KIND_capdata: *(capdata_t *)at = data; break;
    case KIND_resolutions: *(resolutions_t *)at = (resolutions_t){&one, 1}; break;
    }
}

static int write_corpus(const char *folder)
{
    size_t count;
    const message_t *all = message_all(&count);

    for (size_t i = 0; i < count; i++) {
        buf_t frame = buf_of(FRAME_BYTES_MAX);
        msg_body_t body = {0};
        char path[PATH_BYTES_MAX];

        for (size_t j = 0; j < all[i].field_count; j++) sample_field(&all[i].fields[j], &body);
        must(msg_encode(all[i].tag, &body, &frame) == ERR_OK);
        snprintf(path, sizeof path, "%s/%s", folder, all[i].name);
        FILE *file = fopen(path, "wb");
        bool fine = file && fwrite(frame.at, 1, frame.len, file) == frame.len;
        if (file && fclose(file) != 0) fine = false;
        buf_clear(&frame);
        if (!fine) {
            perror(path);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "corpus") == 0 && argc == 3) return write_corpus(argv[2]);
    if (strcmp(what, "protocol") == 0 && argc == 2)
        print_protocol();
    else if (strcmp(what, "errors") == 0 && argc == 2)
        print_errors();
    else if (strcmp(what, "dictionary") == 0 && argc == 2)
        print_dictionary();
    else {
        fprintf(stderr, "usage: wire_dump protocol | errors | dictionary | corpus DIR\n");
        return 2;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
