#include "probe.h"

void probe_run(const probe_inputs *inputs, const probe_outputs *outputs, void *arena) {
    (void)inputs, (void)outputs, (void)arena;
    __asm__ volatile("udf #0");
}
