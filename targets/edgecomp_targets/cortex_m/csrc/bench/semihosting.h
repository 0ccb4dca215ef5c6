/* Arm semihosting: the firmware's way to the host's files.
 * Source: "Semihosting for AArch32 and AArch64", Arm IHI/ABI document semihosting.rst, release 2.0. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06,
       SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };
enum { ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

static inline uint32_t semihosting_call(uint32_t operation, const void *block) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* Returns the host's file handle, or -1. */
static inline int32_t host_open(const char *name, uint32_t name_bytes, uint32_t mode) {
    const uint32_t block[3] = {(uint32_t)name, mode, name_bytes};
    return (int32_t)semihosting_call(SYS_OPEN, block);
}

/* Both return the number of bytes that were not transferred. */
static inline uint32_t host_read(int32_t file, void *to, uint32_t bytes) {
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)to, bytes};
    return semihosting_call(SYS_READ, block);
}

static inline uint32_t host_write(int32_t file, const void *from, uint32_t bytes) {
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)from, bytes};
    return semihosting_call(SYS_WRITE, block);
}

static inline void host_close(int32_t file) {
    const uint32_t block[1] = {(uint32_t)file};
    semihosting_call(SYS_CLOSE, block);
}

static inline void host_print(const char *text) { semihosting_call(SYS_WRITE0, text); }

_Noreturn static inline void host_exit(uint32_t status) {
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, status};
    for (;;) semihosting_call(SYS_EXIT_EXTENDED, block);
}

#endif
