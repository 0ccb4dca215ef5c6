/* Reset, vector table and faults of the bench firmware, for every Cortex-M core. */
#include <stdint.h>

#include "transport.h"

extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[], __stack_top[];

int main(void);

/* CPACR (Armv7-M and later; Arm DDI 0403E, B3.2.20): full access to coprocessors 10 and 11, which
 * are the FPU and, on Armv8.1-M, the vector unit. */
#define CPACR (*(volatile uint32_t *)0xE000ED88u)

#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
static void enable_coprocessors(void) {
    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}
#else
static void enable_coprocessors(void) {}
#endif

_Noreturn void reset_handler(void) {
    enable_coprocessors();
    const uint32_t *load = __data_load;
    for (uint32_t *word = __data_start; word != __data_end; ++word) {
        *(volatile uint32_t *)word = *load++;
    }
    for (uint32_t *word = __bss_start; word != __bss_end; ++word) *(volatile uint32_t *)word = 0;
    for (;;) main();
}

/* Says where the core was: the exception frame holds the program counter in its seventh word. */
__attribute__((used)) _Noreturn static void report_fault(const uint32_t *frame) {
    static const char digits[] = "0123456789abcdef";
    char text[] = "the core faulted at 0x00000000\n";
    for (int i = 0; i < 8; ++i) text[22 + i] = digits[(frame[6] >> (28 - 4 * i)) & 15u];
    transport_fail(text);
}

__attribute__((naked)) static void fault_handler(void) {
    __asm__ volatile("mrs r0, msp\n\tb report_fault");
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    (vector)__stack_top, (vector)reset_handler,
    fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler,
    fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler,
    fault_handler, fault_handler,
};
