#include "probe.h"

void probe_run(const probe_inputs *inputs, const probe_outputs *outputs, void *arena) {
    volatile uint8_t frame[40000];
    for (int32_t i = 39999; i >= 0; --i) frame[i] = (uint8_t)inputs->x[0];
    outputs->q[0] = (int8_t)frame[7];
    (void)arena;
}
