/* Through a serial port. The board sends frames: a letter, uint32 number of bytes, little-endian, and
 * those bytes. H: here is a bench firmware, a magic number and the rate of its timer; Q: so many bytes
 * of the request may be sent now; D: bytes of the answer; X: the answer is complete; E: a reason why
 * not. The host sends SYNC until it sees H, then GO, then what Q asks for. */
#include "bench_board.h"
#include "transport.h"
#include "uart.h"

enum { SYNC = 0x16, GO = 0x06 };

/* Read from the image by the host: that it is one for a serial port, and how much can be watched. */
__attribute__((used)) const uint32_t bench_uart_watch_limit = BENCH_WATCH_LIMIT;

static void send_bytes(const void *from, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; ++i) uart_send(((const uint8_t *)from)[i]);
}

static void send_frame(char kind, const void *payload, uint32_t bytes) {
    uart_send((uint8_t)kind);
    send_bytes(&bytes, sizeof bytes);
    send_bytes(payload, bytes);
}

void transport_begin(void) {
    static const uint32_t hello[2] = {0x42434445u, BENCH_TIMER_HZ}; /* "EDCB" */
    uart_begin();
    for (uint8_t byte = uart_receive(); byte != GO; byte = uart_receive()) {
        if (byte == SYNC) send_frame('H', hello, sizeof hello);
    }
}

void transport_read(void *to, uint32_t bytes) {
    if (bytes == 0) return;
    send_frame('Q', &bytes, sizeof bytes);
    for (uint32_t i = 0; i < bytes; ++i) ((uint8_t *)to)[i] = uart_receive();
}

void transport_write(const void *from, uint32_t bytes) { send_frame('D', from, bytes); }

void transport_end(void) { send_frame('X', "", 0); }

/* Whoever asks later is told the same, until the board is reset. */
void transport_fail(const char *reason) {
    uint32_t bytes = 0;
    while (reason[bytes] != 0) ++bytes;
    for (;;) {
        send_frame('E', reason, bytes);
        while (uart_receive() != SYNC) {
        }
    }
}
