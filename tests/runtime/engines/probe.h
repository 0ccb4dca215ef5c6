#ifndef PROBE_H
#define PROBE_H
#include <stdint.h>

#define probe_ARENA_BYTES 512
#define probe_ARENA_ALIGNMENT 16
#define probe_STATE_BYTES 0

typedef struct {
    const int8_t *x;
    const int8_t *d;
} probe_inputs;

typedef struct {
    int8_t *q;
    float *f;
} probe_outputs;

void probe_run(const probe_inputs *inputs, const probe_outputs *outputs, void *arena);

#endif
