/* Times single functions within a run of the model. Two ways to get between a call and its function,
 * one of which is linked: watch_code.c writes into the functions, on boards with code in RAM;
 * watch_calls.c serves an image whose calls were diverted to `on_entry` after linking. */
#ifndef WATCH_H
#define WATCH_H

#include <stdint.h>

/* Watches functions at `entries` (without Thumb bit), called in this order, each once. `ticks[i]`
 * becomes the timer's ticks of the call of entries[i], and of what watching adds to it, which is
 * the same for every function. */
void watch_begin(const uint32_t *entries, uint32_t count, uint32_t *ticks);

/* Lets diverted calls of functions at `entries`, in this order, pass without being timed. */
void watch_pass(const uint32_t *entries);

/* What to call so that `function` is watched, or passes, when nothing diverts the call. */
uint32_t watch_door(uint32_t function);

/* Of watch.c, between a call and its function, and of the way linked. Both take where the function
 * returns to: the first gives where to go on (low word) and where to return to (high word). */
void on_entry(void);
void on_exit(void);
uint64_t note_entry(uint32_t link);
uint32_t note_exit(void);

#endif
