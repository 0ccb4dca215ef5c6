/* Bench firmware: runs the model on every sample of a request, and counts.
 *
 * The request: uint32 number of samples, uint32 number of functions to watch and their
 * addresses, then all inputs, in order, and the state, for each sample; and, if there are functions to watch, for
 * one more run in which each of them is timed.
 * The answer: for each sample uint32 timer ticks of SYMBOL_run, then all outputs and the state; then
 * uint32 ticks of an empty run and uint32 deepest stack in bytes; then, if functions were watched,
 * uint32 ticks of an empty watched function, and of each of those (0 if it was not called).
 * Inputs and outputs lie in the arena, where the memory plan reserved room for them.
 *
 * `bench_model.h` is generated: it includes the model's header and defines BENCH_RUN,
 * BENCH_ARENA_BYTES, BENCH_ARENA_ALIGNMENT, BENCH_STATE_BYTES, BENCH_CALLS, bench_inputs and
 * bench_outputs. */
#include <stddef.h>
#include <stdint.h>

#include "timer.h"
#include "transport.h"
#include "watch.h"

typedef struct {
    uint32_t offset;
    uint32_t bytes;
} bench_buffer;

#include "bench_model.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A program without state does not look at the last argument: it is passed in a register. */
typedef void (*run_function)(const void *inputs, const void *outputs, void *arena, void *state);

extern uint32_t __stack_bottom[];

/* Read from the image by the emulator's driver: the board this runs on, and its timer's rate. */
__attribute__((used)) const char bench_machine[] = BENCH_MACHINE;
__attribute__((used)) const uint32_t bench_timer_hz = BENCH_TIMER_HZ;

/* Functions the program calls, in order; filled in after linking when those calls are diverted. */
__attribute__((used)) const uint32_t bench_calls[BENCH_CALLS + 1] = {0};

static const uint32_t PAINT = 0xA5C35A3Cu;
static const uint32_t *stack_at_call;
static uint32_t watched[BENCH_WATCH_LIMIT], watched_ticks[1 + BENCH_WATCH_LIMIT];
static uint8_t arena[BENCH_ARENA_BYTES] __attribute__((aligned(BENCH_ARENA_ALIGNMENT)));
static uint8_t state[BENCH_STATE_BYTES + 1] __attribute__((aligned(BENCH_ARENA_ALIGNMENT)));
static void *input_pointers[COUNT(bench_inputs)];
static void *output_pointers[COUNT(bench_outputs)];
static uint32_t passing_ticks; /* that diverted calls add to a run */

/* One instruction (the return), as the emulator counts: what `measure` costs beyond the model. */
__attribute__((naked, noinline)) static void run_nothing(const void *inputs, const void *outputs,
                                                         void *memory, void *kept) {
    __asm__ volatile("bx lr");
}

/* Ticks of one run, after painting the stack below the frame the run is called from. */
__attribute__((noinline)) static uint32_t measure(run_function run) {
    uint32_t *bottom = __stack_bottom;
    uint32_t *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    stack_at_call = here;
    while (bottom != here) *(volatile uint32_t *)bottom++ = PAINT;
    timer_start();
    const uint32_t start = timer_now();
    run(input_pointers, output_pointers, arena, state);
    return timer_now() - start;
}

static uint32_t stack_used(void) {
    const volatile uint32_t *word = __stack_bottom;
    while (word != stack_at_call && *word == PAINT) ++word;
    return (uint32_t)((uintptr_t)stack_at_call - (uintptr_t)word);
}

static void receive_inputs(void) {
    for (size_t i = 0; i < COUNT(bench_inputs); ++i)
        transport_read(input_pointers[i], bench_inputs[i].bytes);
    transport_read(state, BENCH_STATE_BYTES);
}

static void check_timer(void) {
    if (timer_wrapped())
        transport_fail("one inference takes longer than the board's timer can count\n");
}

static void run_sample(uint32_t *deepest) {
    receive_inputs();
    watch_pass(bench_calls);
    const uint32_t ticks = measure((run_function)(void (*)(void))BENCH_RUN) - passing_ticks;
    check_timer();
    const uint32_t used = stack_used();
    if (*(volatile uint32_t *)__stack_bottom != PAINT) transport_fail("the stack overflowed\n");
    if (used > *deepest) *deepest = used;
    transport_write(&ticks, sizeof ticks);
    for (size_t i = 0; i < COUNT(bench_outputs); ++i)
        transport_write(output_pointers[i], bench_outputs[i].bytes);
    transport_write(state, BENCH_STATE_BYTES);
}

static void run_watched(uint32_t count) {
    const uint32_t nothing = (uint32_t)run_nothing & ~1u;
    watch_begin(&nothing, 1, watched_ticks);
    measure((run_function)watch_door((uint32_t)run_nothing));
    receive_inputs();
    watch_begin(watched, count, watched_ticks + 1);
    measure((run_function)(void (*)(void))BENCH_RUN);
    check_timer();
    transport_write(watched_ticks, (1 + count) * (uint32_t)sizeof watched_ticks[0]);
}

static void measure_passing(void) {
    const volatile uint32_t *const calls = bench_calls;
    const uint32_t nothing = (uint32_t)run_nothing & ~1u;
    if (calls[0] == 0) return;
    watch_pass(&nothing);
    passing_ticks = measure((run_function)watch_door((uint32_t)run_nothing));
    passing_ticks = BENCH_CALLS * (passing_ticks - measure(run_nothing));
}

int main(void) {
    for (size_t i = 0; i < COUNT(bench_inputs); ++i)
        input_pointers[i] = arena + bench_inputs[i].offset;
    for (size_t i = 0; i < COUNT(bench_outputs); ++i)
        output_pointers[i] = arena + bench_outputs[i].offset;
    uint32_t header[2], deepest = 0;
    transport_begin();
    measure_passing();
    transport_read(header, sizeof header);
    if (header[1] > BENCH_WATCH_LIMIT) transport_fail("there are too many functions to watch\n");
    transport_read(watched, header[1] * (uint32_t)sizeof watched[0]);
    for (uint32_t sample = 0; sample < header[0]; ++sample) run_sample(&deepest);
    const uint32_t tail[2] = {measure(run_nothing), deepest};
    transport_write(tail, sizeof tail);
    if (header[1] != 0) run_watched(header[1]);
    transport_end();
    return 0;
}
