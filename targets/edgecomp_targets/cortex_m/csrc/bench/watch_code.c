/* The first four bytes of the next watched function are replaced by a branch to `on_entry`. That
 * puts them back, makes the function return to `on_exit`, notes the time and enters the function;
 * `on_exit` notes the time and replaces the first bytes of the next one. */
#include "timer.h"
#include "watch.h"

static const uint32_t *watched;
static uint32_t watched_count, done, started, return_address;
static uint32_t *watched_ticks;
static uint16_t replaced[2];

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

void watch_pass(const uint32_t *entries) { (void)entries; }

uint32_t watch_door(uint32_t function) { return function; }

__attribute__((used)) uint64_t note_entry(uint32_t link) {
    replace_code(replaced[0], replaced[1]);
    return_address = link;
    const uint64_t next = (uint64_t)(uint32_t)on_exit << 32 | (watched[done] | 1u);
    started = timer_now();
    return next;
}

__attribute__((used)) uint32_t note_exit(void) {
    watched_ticks[done++] = timer_now() - started;
    if (done != watched_count) divert_next();
    return return_address;
}
