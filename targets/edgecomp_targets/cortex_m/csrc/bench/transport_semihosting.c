/* Through the debugger or emulator: the request is the host's file edgecomp.in, the answer
 * edgecomp.out. */
#include "semihosting.h"
#include "transport.h"

static int32_t in, out;

static int32_t open_file(const char *name, uint32_t name_bytes, uint32_t mode) {
    const int32_t file = host_open(name, name_bytes, mode);
    if (file < 0) transport_fail("edgecomp.in or edgecomp.out cannot be opened\n");
    return file;
}

void transport_begin(void) {
    static const char in_name[] = "edgecomp.in", out_name[] = "edgecomp.out";
    in = open_file(in_name, sizeof in_name - 1, OPEN_READ_BINARY);
    out = open_file(out_name, sizeof out_name - 1, OPEN_WRITE_BINARY);
}

void transport_read(void *to, uint32_t bytes) {
    if (host_read(in, to, bytes) != 0) transport_fail("edgecomp.in ends early\n");
}

void transport_write(const void *from, uint32_t bytes) {
    if (host_write(out, from, bytes) != 0) transport_fail("edgecomp.out cannot be written\n");
}

void transport_end(void) {
    host_close(out);
    host_exit(0);
}

void transport_fail(const char *reason) {
    host_print(reason);
    host_exit(2);
}
