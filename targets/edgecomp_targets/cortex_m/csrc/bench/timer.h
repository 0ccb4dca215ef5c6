/* The board's free-running timer. The emulator's clock advances a fixed time for each instruction,
 * so the ticks that pass are a count of instructions (see boards.py).
 * On silicon a timer runs at the core's clock, and its ticks are cycles.
 * bench_board.h, generated from boards.py, defines the timer's address by the name of its kind. */
#ifndef TIMER_H
#define TIMER_H

#include <stdint.h>

#include "bench_board.h"
#include "register.h"

#if defined(BENCH_TIMER_CMSDK)
/* CMSDK APB timer, counting down 32 bits. Arm DDI 0479D, section 4.4. */
enum { CMSDK_CTRL = 0x0, CMSDK_VALUE = 0x4, CMSDK_RELOAD = 0x8, CMSDK_INTSTATUS = 0xC };
enum { CMSDK_CTRL_ENABLE = 1, CMSDK_CTRL_INTERRUPT = 8 };

/* Starts at the top; the interrupt (never routed to the core) records that the count wrapped. */
static inline void timer_start(void) {
    REGISTER(BENCH_TIMER_CMSDK + CMSDK_CTRL) = 0;
    REGISTER(BENCH_TIMER_CMSDK + CMSDK_RELOAD) = 0xFFFFFFFFu;
    REGISTER(BENCH_TIMER_CMSDK + CMSDK_VALUE) = 0xFFFFFFFFu;
    REGISTER(BENCH_TIMER_CMSDK + CMSDK_INTSTATUS) = 1;
    REGISTER(BENCH_TIMER_CMSDK + CMSDK_CTRL) = CMSDK_CTRL_ENABLE | CMSDK_CTRL_INTERRUPT;
}

static inline uint32_t timer_now(void) { return ~REGISTER(BENCH_TIMER_CMSDK + CMSDK_VALUE); }

static inline int timer_wrapped(void) {
    return (int)(REGISTER(BENCH_TIMER_CMSDK + CMSDK_INTSTATUS) & 1u);
}

#elif defined(BENCH_TIMER_SSE)
/* SSE-300 system counter, counting up 64 bits, read through a system timer.
 * Arm 101773 (SSE-300 reference manual), system counter and timer registers. */
enum { SSE_COUNTER_CNTCR = 0x0, SSE_COUNTER_CNTCV_LOW = 0x8, SSE_COUNTER_CNTCV_HIGH = 0xC };
enum { SSE_TIMER_CNTPCT_LOW = 0x0, SSE_TIMER_CNTPCT_HIGH = 0x4 };

static inline void timer_start(void) {
    REGISTER(BENCH_COUNTER_SSE + SSE_COUNTER_CNTCR) = 0;
    REGISTER(BENCH_COUNTER_SSE + SSE_COUNTER_CNTCV_LOW) = 0;
    REGISTER(BENCH_COUNTER_SSE + SSE_COUNTER_CNTCV_HIGH) = 0;
    REGISTER(BENCH_COUNTER_SSE + SSE_COUNTER_CNTCR) = 1;
}

static inline uint32_t timer_now(void) {
    return REGISTER(BENCH_TIMER_SSE + SSE_TIMER_CNTPCT_LOW);
}

static inline int timer_wrapped(void) {
    return REGISTER(BENCH_TIMER_SSE + SSE_TIMER_CNTPCT_HIGH) != 0;
}

#elif defined(BENCH_TIMER_STM32)
/* General-purpose timer TIM2 or TIM5 of an STM32, counting up 32 bits. ST RM0390, section 17.4. */
enum { STM32_TIM_CR1 = 0x0, STM32_TIM_SR = 0x10, STM32_TIM_EGR = 0x14, STM32_TIM_CNT = 0x24,
       STM32_TIM_ARR = 0x2C };

static inline void timer_start(void) {
    REGISTER(BENCH_TIMER_STM32 + STM32_TIM_CR1) = 0;
    REGISTER(BENCH_TIMER_STM32 + STM32_TIM_ARR) = 0xFFFFFFFFu;
    REGISTER(BENCH_TIMER_STM32 + STM32_TIM_EGR) = 1;
    REGISTER(BENCH_TIMER_STM32 + STM32_TIM_SR) = 0;
    REGISTER(BENCH_TIMER_STM32 + STM32_TIM_CR1) = 1;
}

static inline uint32_t timer_now(void) { return REGISTER(BENCH_TIMER_STM32 + STM32_TIM_CNT); }

static inline int timer_wrapped(void) {
    return (int)(REGISTER(BENCH_TIMER_STM32 + STM32_TIM_SR) & 1u);
}

#else
#error "boards.py defines BENCH_TIMER_CMSDK, BENCH_TIMER_SSE or BENCH_TIMER_STM32"
#endif

#endif
