/* The two doors a watched function is entered and left by. */
#include "watch.h"

__attribute__((naked)) void on_entry(void) {
    __asm__ volatile(
        "push {r0-r4, lr}\n\t"
        "mov r0, lr\n\t"
        "bl note_entry\n\t"
        "mov r12, r0\n\t"
        "mov lr, r1\n\t"
        "pop {r0-r4}\n\t"
        "add sp, #4\n\t"
        "bx r12");
}

__attribute__((naked)) void on_exit(void) {
    __asm__ volatile(
        "push {r0-r3}\n\t"
        "bl note_exit\n\t"
        "mov lr, r0\n\t"
        "pop {r0-r3}\n\t"
        "bx lr");
}
