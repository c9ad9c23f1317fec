/* Making, saving and loading XS machines. */
#include "vathost/xs/machine.h"

#include <errno.h>
#include <stdio.h>
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

static int buf_write(void *stream, void *at, size_t bytes)
{
    return buf_add(stream, at, bytes) ? ENOMEM : 0;
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

static int file_read(void *stream, void *at, size_t bytes)
{
    return fread(at, 1, bytes, stream) == bytes ? 0 : EIO;
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
        .write = buf_write,
        .stream = stream,
    };
}

err_t machine_write(xsMachine *machine, buf_t *ret)
{
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

enum { SNAPSHOT_FILE_BYTES_MAX = 64 << 20 };

err_t machine_save(xsMachine *machine, const char *path)
{
    buf_t bytes = buf_of(SNAPSHOT_FILE_BYTES_MAX);
    FILE *file = fopen(path, "wb");
    if (!file) return ERR_FILE_MISSING;
    fxCollectGarbage(machine); /* what only WeakRefs hold need not be in there */
    err_t err = machine_write(machine, &bytes);
    if (!err && fwrite(bytes.at, 1, bytes.len, file) != bytes.len) err = ERR_FILE_MISSING;
    buf_clear(&bytes);
    if (fclose(file) || err) return ERR_FILE_MISSING;
    return ERR_OK;
}

err_t machine_load(const char *path, xsMachine **ret)
{
    FILE *file = fopen(path, "rb");
    if (!file) return ERR_FILE_MISSING;
    xsSnapshot snapshot = snapshot_of(file);
    snapshot.read = file_read;
    xsMachine *machine = fxReadSnapshot(&snapshot, (char[]){"vat"}, NULL);
    fclose(file);
    if (snapshot.error || !machine) return ERR_BUNDLE_BROKEN;
    *ret = machine;
    return ERR_OK;
}
