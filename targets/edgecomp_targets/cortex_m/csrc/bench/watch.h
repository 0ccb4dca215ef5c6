/* Times single functions within a run of the model, without changing the model's code for good. */
#ifndef WATCH_H
#define WATCH_H

#include <stdint.h>

/* Watches functions at `entries` (without Thumb bit), called in this order, each once. `ticks[i]`
 * becomes the timer's ticks of the call of entries[i], and of what watching adds to it, which is
 * the same for every function. */
void watch_begin(const uint32_t *entries, uint32_t count, uint32_t *ticks);

#endif
