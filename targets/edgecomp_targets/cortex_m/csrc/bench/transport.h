/* The way between the bench firmware and who measures: transport_semihosting.c or transport_uart.c is
 * linked. What is read is a request, what is written an answer; bench.c says what they hold. */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stdint.h>

/* Waits for a request. */
void transport_begin(void);

/* Both fail where the other side gives or takes no more. */
void transport_read(void *to, uint32_t bytes);
void transport_write(const void *from, uint32_t bytes);

/* The answer is complete. */
void transport_end(void);

_Noreturn void transport_fail(const char *reason);

#endif
