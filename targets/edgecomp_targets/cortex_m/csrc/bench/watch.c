/* The first four bytes of the next watched function are replaced by a branch to `on_entry`. That
 * puts them back, makes the function return to `on_exit`, notes the time and enters the function;
 * `on_exit` notes the time and replaces the first bytes of the next one. The emulated boards keep
 * code in RAM, so it can be written. */
#include "watch.h"

#include "timer.h"

static const uint32_t *watched;
static uint32_t watched_count, done, started, return_address;
static uint32_t *watched_ticks;
static uint16_t replaced[2];

void on_entry(void);
void on_exit(void);

static void replace_code(uint16_t first, uint16_t second) {
    volatile uint16_t *code = (volatile uint16_t *)watched[done];
    code[0] = first;
    code[1] = second;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

/* B.W, encoding T4: Arm DDI 0403E, A7.7.12. */
static void divert_next(void) {
    const uint16_t *code = (const uint16_t *)watched[done];
    const uint32_t offset = ((uint32_t)on_entry & ~1u) - (watched[done] + 4);
    const uint32_t sign = offset >> 24 & 1;
    const uint32_t j1 = (~(offset >> 23) ^ sign) & 1, j2 = (~(offset >> 22) ^ sign) & 1;
    replaced[0] = code[0];
    replaced[1] = code[1];
    replace_code((uint16_t)(0xF000 | sign << 10 | (offset >> 12 & 0x3FF)),
                 (uint16_t)(0x9000 | j1 << 13 | j2 << 11 | (offset >> 1 & 0x7FF)));
}

void watch_begin(const uint32_t *entries, uint32_t count, uint32_t *ticks) {
    watched = entries;
    watched_count = count;
    watched_ticks = ticks;
    done = 0;
    if (count != 0) divert_next();
}

/* Returns where to go on (low word) and where the function is to return to (high word). */
__attribute__((used)) static uint64_t note_entry(uint32_t link) {
    replace_code(replaced[0], replaced[1]);
    return_address = link;
    const uint64_t next = (uint64_t)(uint32_t)on_exit << 32 | (watched[done] | 1u);
    started = timer_now();
    return next;
}

/* Returns where the function was to return to. */
__attribute__((used)) static uint32_t note_exit(void) {
    watched_ticks[done++] = timer_now() - started;
    if (done != watched_count) divert_next();
    return return_address;
}

__attribute__((naked)) void on_entry(void) {
    __asm__ volatile(
        "push {r0-r4, lr}\n\t"
        "mov r0, lr\n\t"
        "bl note_entry\n\t"
        "mov r12, r0\n\t"
        "mov lr, r1\n\t"
        "pop {r0-r4}\n\t"
        "add sp, #4\n\t"
        "bx r12");
}

__attribute__((naked)) void on_exit(void) {
    __asm__ volatile(
        "push {r0-r3}\n\t"
        "bl note_exit\n\t"
        "mov lr, r0\n\t"
        "pop {r0-r3}\n\t"
        "bx lr");
}
