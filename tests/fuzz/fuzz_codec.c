/* Laws: what decodes, encodes to the very same bytes and prints as one line; peek and decode agree on
 * the tag; msg_next() takes the same frame out of a row of two. */
#include <stdint.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/utf8.h"
#include "wire/codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_print(const msg_t *msg)
{
    buf_t line = buf_of(1024 * 1024);

    must(msg_print(msg->tag, &msg->body, &line) == ERR_OK);
    must(utf8_check(line.at, line.len));
    must(!memchr(line.at, '\n', line.len) && !memchr(line.at, 0, line.len));
    buf_clear(&line);
}

static void check_next(bin_t frame)
{
    buf_t two = buf_of(2 * (size_t)FRAME_BYTES_MAX);
    msg_t msg;

    must(buf_add(&two, frame.at, frame.len) == ERR_OK);
    must(buf_add(&two, frame.at, frame.len) == ERR_OK);
    bin_t rest = {two.at, two.len};
    must(msg_decode(rest, &msg) == ERR_WIRE_EXTRA);
    must(msg_next(&rest, &msg) == ERR_OK && rest.len == frame.len);
    msg_clear(&msg);
    must(msg_next(&rest, &msg) == ERR_OK && rest.len == 0);
    msg_clear(&msg);
    buf_clear(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bin_t frame = {data, size};
    uint64_t tag = msg_peek(frame);
    msg_t msg;

    err_t err = msg_decode(frame, &msg);
    if (err) {
        must(err_row(err)->who == WHO_PEER);
        return 0;
    }
    must(tag == msg.tag);
    buf_t again = buf_of(FRAME_BYTES_MAX);
    must(msg_encode(msg.tag, &msg.body, &again) == ERR_OK);
    must(again.len == size && memcmp(again.at, data, size) == 0);
    buf_clear(&again);
    check_print(&msg);
    msg_clear(&msg);
    check_next(frame);
    return 0;
}
