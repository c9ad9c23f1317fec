/* What the globals that a vat asks for take from C: hashes, and the script with the larger of them. */
#include "vathost/xs/machine.h"
#include "web_js.h"
#include "wire/base/hash.h"

/* hostDigest(256 or 512, buffer): an ArrayBuffer with its SHA-2 */
void host_digest(xsMachine *the)
{
    uint8_t digest[64];
    xsIntegerValue bits = xsToInteger(xsArg(0));
    size_t len = (size_t)xsGetArrayBufferLength(xsArg(1));
    bin_t bin = {len ? xsToArrayBuffer(xsArg(1)) : digest, len};

    xsSetCurrentMeter(the, xsGetCurrentMeter(the) + (xsUnsignedValue)(len / BYTES_PER_COMPUTRON));
    if (bits == 512) {
        hash_sha512(bin, digest);
    } else {
        hash_sha256(bin, digest);
    }
    xsResult = xsArrayBuffer(digest, bits / 8);
}

/* hostLibrary(): the text of web.js */
void host_library(xsMachine *the)
{
    host_string(the, (text_t){(const char *)web_js, sizeof web_js});
}
