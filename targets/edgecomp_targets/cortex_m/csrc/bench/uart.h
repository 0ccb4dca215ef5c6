/* The board's serial port, polled: 8 data bits, no parity, 1 stop bit.
 * bench_board.h, generated from boards.py, defines the port's address by the name of its kind, its
 * clock BENCH_UART_HZ, and BENCH_SETUP, the registers that bring its clock and pins up. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

#include "bench_board.h"
#include "register.h"

enum { UART_BAUD = 115200 };

/* A register, the bits to clear and the bits to set. */
typedef struct {
    uint32_t address, clear, set;
} uart_setup;

static inline void uart_set_up_board(void) {
    static const uart_setup steps[] = {BENCH_SETUP{0, 0, 0}};
    for (const uart_setup *step = steps; step->address != 0; ++step) {
        REGISTER(step->address) = (REGISTER(step->address) & ~step->clear) | step->set;
    }
}

#if defined(BENCH_UART_CMSDK)
/* CMSDK APB UART. Arm DDI 0479D, section 4.3. */
enum { CMSDK_UART_DATA = 0x0, CMSDK_UART_STATE = 0x4, CMSDK_UART_CTRL = 0x8, CMSDK_UART_BAUDDIV = 0x10 };
enum { CMSDK_UART_TX_FULL = 1, CMSDK_UART_RX_FULL = 2, CMSDK_UART_TX_RX_ENABLE = 3 };

static inline void uart_begin(void) {
    uart_set_up_board();
    REGISTER(BENCH_UART_CMSDK + CMSDK_UART_BAUDDIV) = BENCH_UART_HZ / UART_BAUD;
    REGISTER(BENCH_UART_CMSDK + CMSDK_UART_CTRL) = CMSDK_UART_TX_RX_ENABLE;
}

static inline void uart_send(uint8_t byte) {
    while (REGISTER(BENCH_UART_CMSDK + CMSDK_UART_STATE) & CMSDK_UART_TX_FULL) {
    }
    REGISTER(BENCH_UART_CMSDK + CMSDK_UART_DATA) = byte;
}

static inline uint8_t uart_receive(void) {
    while (!(REGISTER(BENCH_UART_CMSDK + CMSDK_UART_STATE) & CMSDK_UART_RX_FULL)) {
    }
    return (uint8_t)REGISTER(BENCH_UART_CMSDK + CMSDK_UART_DATA);
}

#elif defined(BENCH_UART_STM32F4)
/* USART of the STM32F2 and STM32F4. ST RM0390, section 25.6. */
enum { STM32_SR = 0x0, STM32_DR = 0x4, STM32_BRR = 0x8, STM32_CR1 = 0xC };
enum { STM32_SR_RXNE = 1 << 5, STM32_SR_TXE = 1 << 7 };
enum { STM32_CR1_RE = 1 << 2, STM32_CR1_TE = 1 << 3, STM32_CR1_UE = 1 << 13 };

static inline void uart_begin(void) {
    uart_set_up_board();
    REGISTER(BENCH_UART_STM32F4 + STM32_BRR) = (BENCH_UART_HZ + UART_BAUD / 2) / UART_BAUD;
    REGISTER(BENCH_UART_STM32F4 + STM32_CR1) = STM32_CR1_UE | STM32_CR1_TE | STM32_CR1_RE;
}

static inline void uart_send(uint8_t byte) {
    while (!(REGISTER(BENCH_UART_STM32F4 + STM32_SR) & STM32_SR_TXE)) {
    }
    REGISTER(BENCH_UART_STM32F4 + STM32_DR) = byte;
}

static inline uint8_t uart_receive(void) {
    while (!(REGISTER(BENCH_UART_STM32F4 + STM32_SR) & STM32_SR_RXNE)) {
    }
    return (uint8_t)REGISTER(BENCH_UART_STM32F4 + STM32_DR);
}

#else
#error "boards.py defines BENCH_UART_CMSDK or BENCH_UART_STM32F4"
#endif

#endif
