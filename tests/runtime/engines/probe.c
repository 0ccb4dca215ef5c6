/* A program with the C interface of a compiled model, that does what emulators find hard:
 * integer division and memcpy by the compiler's support routines, floating point, a stack frame
 * of known size, the same kernel twice. */
#include "probe.h"

#include <stddef.h>

void *memcpy(void *, const void *, size_t);

static const int8_t weights[16 * 64] = {
    1, -2, 3, -4, 5, -6, 7, -8, [100] = 9, [200] = -10, [555] = 11, [1023] = -12,
};

__attribute__((noinline)) static void probe_dense(const int8_t *x, int8_t *y) {
    for (int i = 0; i < 16; ++i) {
        int32_t sum = 3;
        for (int k = 0; k < 64; ++k) sum += (int32_t)x[k] * weights[i * 64 + k];
        sum >>= 4;
        y[i] = (int8_t)(sum > 127 ? 127 : sum < -128 ? -128 : sum);
    }
}

__attribute__((noinline)) static void probe_divide(const int8_t *x, const int8_t *d, int8_t *y) {
    for (int i = 0; i < 16; ++i) y[i] = (int8_t)(x[i] * 100 / (d[i] | 1));
}

__attribute__((noinline)) static void probe_scale(const int8_t *x, float *y) {
    volatile uint8_t frame[1000];
    for (int i = 0; i < 1000; ++i) frame[i] = (uint8_t)x[0];
    for (int i = 0; i < 16; ++i) y[i] = (float)x[i] / 3.0f + 0.1f;
}

__attribute__((noinline)) static void probe_copy(const int8_t *x, int8_t *y, int32_t bytes) {
    memcpy(y, x, (size_t)bytes);
}

void probe_run(const probe_inputs *inputs, const probe_outputs *outputs, void *arena) {
    int8_t *scratch = arena;
    probe_dense(inputs->x, scratch + 128);
    probe_divide(scratch + 128, inputs->d, outputs->q);
    probe_scale(outputs->q, outputs->f);
    /* d[0] = 100 makes the copy run far past the arena */
    probe_copy(inputs->x, scratch + 128, inputs->d[0] == 100 ? 100000 : 64);
    probe_dense(scratch + 128, scratch + 192);
}
