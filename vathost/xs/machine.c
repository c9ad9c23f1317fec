/* Making, saving and loading XS machines. */
#include "vathost/xs/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vathost/xs/platform.h"
#include "xs_build.h"

/* For LeakSanitizer, in builds that have it: XS leaves a crank that must end by longjmp, and what its
 * parser held at that moment is lost; the process ends soon after. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:fxParserCode\n"; }

/* Small at the start, because 10,000 vats sleep; grown in steps that do not thrash while a bundle is
 * read. A snapshot carries these numbers, so that a machine read from it has them as well. */
static xsCreation creation = {
    .initialChunkSize = 2 << 20,
    .incrementalChunkSize = 1 << 20,
    .initialHeapCount = 96 << 10,
    .incrementalHeapCount = 32 << 10,
    .stackCount = 64 << 10, /* 4096, XS's usual, is 450 frames of JavaScript */
    .initialKeyCount = 8000,
    .incrementalKeyCount = 4000,
    .nameModulo = 1993,
    .symbolModulo = 127,
    .parserBufferSize = 8 << 20,
    .parserTableModulo = 1993,
};

xsMachine *machine_new(void)
{
    xsMachine *machine = xsCreateMachine(&creation, (char[]){"vat"}, NULL);
    if (machine) host_install(machine);
    return machine;
}

static void copy_reason(const char *text, char *into, size_t room)
{
    size_t len = strlen(text);
    if (len >= room) len = room - 1;
    memcpy(into, text, len);
    into[len] = '\0';
}

bool machine_eval(xsMachine *machine, text_t script, char *error, size_t error_room)
{
    volatile bool done = false;
    copy_reason("stopped", error, error_room);
    xsBeginMetering(machine, NULL, 0);
    {
        xsBeginHost(machine);
        {
            xsVars(1);
            xsTry
            {
                host_string(the, script);
                xsVar(0) = xsResult;
                xsCall1(xsGlobal, xsID("eval"), xsVar(0));
                xsRunLoop(the);
                done = true;
            }
            xsCatch { copy_reason(xsToString(xsException), error, error_room); }
        }
        xsEndHost(machine);
    }
    xsEndMetering(machine);
    return done && machine->abortStatus == 0;
}

/* ---- snapshots ---- */

err_t bytes_add(bytes_t *self, const void *at, size_t len)
{
    if (!len) return ERR_OK;
    if (len > SNAPSHOT_BYTES_MAX - self->len) return ERR_PROCESS_FAILED;
    if (self->len + len > self->room) {
        size_t room = self->len + len > self->room * 2 ? self->len + len : self->room * 2;
        uint8_t *more = realloc(self->at, room);
        if (!more) return ERR_PROCESS_FAILED;
        self->at = more;
        self->room = room;
    }
    memcpy(self->at + self->len, at, len);
    self->len += len;
    return ERR_OK;
}

static int bytes_write(void *stream, void *at, size_t bytes)
{
    return bytes_add(stream, at, bytes) ? ENOMEM : 0;
}

static int bin_read(void *stream, void *at, size_t bytes)
{
    bin_t *left = stream;
    if (left->len < bytes) return EIO;
    memcpy(at, left->at, bytes);
    left->at += bytes;
    left->len -= bytes;
    return 0;
}

static xsSnapshot snapshot_of(void *stream)
{
    static char signature[] = "vatyard " XS_BUILD;
    return (xsSnapshot){
        .signature = signature,
        .signatureLength = sizeof signature - 1,
        .callbacks = host_callbacks,
        .callbacksLength = host_callback_count,
        .read = bin_read,
        .write = bytes_write,
        .stream = stream,
    };
}

/* XS writes slot by slot. What a machine has is more than what it writes, but for its keys; room that is not
 * written to costs nothing. */
static err_t make_room(bytes_t *self, size_t more)
{
    uint8_t *at = realloc(self->at, self->len + more);
    if (!at) return ERR_PROCESS_FAILED;
    self->at = at;
    self->room = self->len + more;
    return ERR_OK;
}

err_t machine_write(xsMachine *machine, bytes_t *ret)
{
    if (make_room(ret, platform_space(machine))) return ERR_PROCESS_FAILED;
    xsSnapshot snapshot = snapshot_of(ret);
    fxWriteSnapshot(machine, &snapshot);
    return snapshot.error || machine->abortStatus ? ERR_PROCESS_FAILED : ERR_OK;
}

err_t machine_read(bin_t bytes, xsMachine **ret)
{
    xsSnapshot snapshot = snapshot_of(&bytes);
    xsMachine *machine = fxReadSnapshot(&snapshot, (char[]){"vat"}, NULL);
    if (snapshot.error || !machine) return ERR_SNAPSHOT_UNREADABLE;
    *ret = machine;
    return ERR_OK;
}

err_t machine_save(xsMachine *machine, const char *path)
{
    bytes_t bytes = {0};
    FILE *file = fopen(path, "wb");
    if (!file) return ERR_FILE_MISSING;
    fxCollectGarbage(machine); /* what only WeakRefs hold need not be in there */
    err_t err = machine_write(machine, &bytes);
    if (!err && fwrite(bytes.at, 1, bytes.len, file) != bytes.len) err = ERR_FILE_MISSING;
    free(bytes.at);
    if (fclose(file) || err) return ERR_FILE_MISSING;
    return ERR_OK;
}
