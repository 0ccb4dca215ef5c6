/* Sums of products for cores that multiply one number at a time: Cortex-M0+ and M3.
 *
 * The patches of four pixels are brought to int32, interleaved, so that one weight is loaded for four
 * products. Weights are stored plus 128, as bytes are loaded faster without a sign: every sum is then
 * too large by 128 times the sum of the patch.
 */
#ifndef EDGECOMP_MUL_H
#define EDGECOMP_MUL_H

#include "edgecomp_mul_output.h"

#define EC_MUL_OFFSET 128

/* Four patches and one channel; the assembly knows the offsets. */
typedef struct {
  const int32_t *patches; /* of 4 * quads elements, interleaved */
  const int32_t *end;     /* behind them */
  const uint8_t *weights;
} ec_mul_product;

EC_INLINE void ec_mul_sums(const ec_mul_product *job, uint32_t sums[4]) {
#if EC_MUL_THUMB == 2
  const void *p = job;
  const int32_t *x, *end;
  uint32_t a, b, c, d;
#define EC_MUL_ELEMENT               \
  "ldmia %[x]!, {r3, r4, r5, r6}\n"  \
  "ldrb r2, [%[p]], #1\n"            \
  "mla %[a], r3, r2, %[a]\n"         \
  "mla %[b], r4, r2, %[b]\n"         \
  "mla %[c], r5, r2, %[c]\n"         \
  "mla %[d], r6, r2, %[d]\n"
  __asm__ volatile(
      "ldrd %[x], %[end], [%[p]]\n"
      "ldr %[p], [%[p], #8]\n"
      "mov %[a], #0\n"
      "mov %[b], #0\n"
      "mov %[c], #0\n"
      "mov %[d], #0\n"
      "1:\n" EC_MUL_ELEMENT EC_MUL_ELEMENT EC_MUL_ELEMENT EC_MUL_ELEMENT
      "cmp %[x], %[end]\n"
      "bne 1b\n"
      : [x] "=&r"(x), [end] "=&r"(end), [p] "+r"(p), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c),
        [d] "=&r"(d)
      :
      : "r2", "r3", "r4", "r5", "r6", "cc", "memory");
#undef EC_MUL_ELEMENT
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
#elif EC_MUL_THUMB == 1
  const void *p = job;
  uint32_t *x = sums;
  /* sums in r8-r11; high registers only add, move and compare */
#define EC_MUL_ELEMENT(k)            \
  "ldmia %[x]!, {r2, r3, r4, r5}\n"  \
  "ldrb r6, [%[p], #" #k "]\n"       \
  "muls r2, r6, r2\n"                \
  "muls r3, r6, r3\n"                \
  "muls r4, r6, r4\n"                \
  "muls r5, r6, r5\n"                \
  "add r8, r2\n"                     \
  "add r9, r3\n"                     \
  "add r10, r4\n"                    \
  "add r11, r5\n"
  __asm__ volatile(
      ".syntax unified\n"
      "ldr r2, [%[p], #4]\n"
      "mov r12, r2\n"
      "mov lr, %[x]\n"
      "ldr %[x], [%[p]]\n"
      "ldr %[p], [%[p], #8]\n"
      "movs r2, #0\n"
      "mov r8, r2\n"
      "mov r9, r2\n"
      "mov r10, r2\n"
      "mov r11, r2\n"
      "1:\n" EC_MUL_ELEMENT(0) EC_MUL_ELEMENT(1) EC_MUL_ELEMENT(2) EC_MUL_ELEMENT(3)
      "adds %[p], #4\n"
      "cmp %[x], r12\n"
      "bne 1b\n"
      "mov %[x], lr\n"
      "mov r2, r8\n"
      "mov r3, r9\n"
      "mov r4, r10\n"
      "mov r5, r11\n"
      "stmia %[x]!, {r2, r3, r4, r5}\n"
      : [x] "+l"(x), [p] "+l"(p)
      :
      : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#undef EC_MUL_ELEMENT
#else
  const uint8_t *weights = job->weights;
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  for (const int32_t *x = job->patches; x != job->end; x += 4, ++weights) {
    for (int32_t i = 0; i < 4; ++i) sums[i] += (uint32_t)x[i] * *weights;
  }
#endif
}

/* Windows of three rows and columns of four outputs with the taps of one channel; the assembly knows
 * the offsets. The columns of a row begin `first`, then `second` bytes behind the end of the four words
 * read before. */
typedef struct {
  const int32_t *rows[3];
  int32_t first, second;
  int32_t taps[9]; /* offset 20 */
  uint32_t *sums;  /* offset 56: of four outputs */
} ec_mul_window;

EC_INLINE void ec_mul_windows(const ec_mul_window *job) {
#if EC_MUL_THUMB == 2
  const int32_t *x, *first, *second;
  uint32_t a, b, c, d;
#define EC_MUL_TAP(offset, step)         \
  "ldmia %[x]!, {r3, r4, r5, r6}\n"      \
  "ldr r2, [%[j], #" offset "]\n"        \
  "mla %[a], r3, r2, %[a]\n"             \
  "mla %[b], r4, r2, %[b]\n"             \
  "mla %[c], r5, r2, %[c]\n"             \
  "mla %[d], r6, r2, %[d]\n" step
#define EC_MUL_ROW(row, k0, k1, k2)                                                        \
  "ldr %[x], [%[j], #" row "]\n" EC_MUL_TAP(k0, "add %[x], %[x], %[first]\n")              \
      EC_MUL_TAP(k1, "add %[x], %[x], %[second]\n") EC_MUL_TAP(k2, "")
  __asm__ volatile(
      "ldrd %[first], %[second], [%[j], #12]\n"
      "mov %[a], #0\n"
      "mov %[b], #0\n"
      "mov %[c], #0\n"
      "mov %[d], #0\n" EC_MUL_ROW("0", "20", "24", "28") EC_MUL_ROW("4", "32", "36", "40")
          EC_MUL_ROW("8", "44", "48", "52")
      : [x] "=&r"(x), [first] "=&r"(first), [second] "=&r"(second), [a] "=&r"(a), [b] "=&r"(b),
        [c] "=&r"(c), [d] "=&r"(d)
      : [j] "r"(job)
      : "r2", "r3", "r4", "r5", "r6", "memory");
  job->sums[0] = a;
  job->sums[1] = b;
  job->sums[2] = c;
  job->sums[3] = d;
#elif EC_MUL_THUMB == 1
  const int32_t *x;
#define EC_MUL_TAP(offset, step)         \
  "ldmia %[x]!, {r2, r3, r4, r5}\n"      \
  "ldr r6, [%[j], #" offset "]\n"        \
  "muls r2, r6, r2\n"                    \
  "muls r3, r6, r3\n"                    \
  "muls r4, r6, r4\n"                    \
  "muls r5, r6, r5\n"                    \
  "add r8, r2\n"                         \
  "add r9, r3\n"                         \
  "add r10, r4\n"                        \
  "add r11, r5\n" step
#define EC_MUL_ROW(row, k0, k1, k2)                                                            \
  "ldr %[x], [%[j], #" row "]\n" EC_MUL_TAP(k0, "add %[x], r12\n") EC_MUL_TAP(k1, "add %[x], lr\n") \
      EC_MUL_TAP(k2, "")
  __asm__ volatile(
      ".syntax unified\n"
      "ldr r2, [%[j], #12]\n"
      "ldr r3, [%[j], #16]\n"
      "mov r12, r2\n"
      "mov lr, r3\n"
      "movs r2, #0\n"
      "mov r8, r2\n"
      "mov r9, r2\n"
      "mov r10, r2\n"
      "mov r11, r2\n"
 EC_MUL_ROW("0", "20", "24", "28") EC_MUL_ROW("4", "32", "36", "40")
          EC_MUL_ROW("8", "44", "48", "52")
      "mov r2, r8\n"
      "mov r3, r9\n"
      "mov r4, r10\n"
      "mov r5, r11\n"
      "ldr %[x], [%[j], #56]\n"
      "stmia %[x]!, {r2, r3, r4, r5}\n"
      : [x] "=&l"(x)
      : [j] "l"(job)
      : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
#else
  job->sums[0] = job->sums[1] = job->sums[2] = job->sums[3] = 0;
  for (int32_t k = 0; k < 9; k += 3) {
    const int32_t *const x = job->rows[k / 3];
    const int32_t *const y = x + 4 + job->first / 4, *const z = y + 4 + job->second / 4;
    for (int32_t i = 0; i < 4; ++i) {
      job->sums[i] += (uint32_t)(x[i] * job->taps[k] + y[i] * job->taps[k + 1] + z[i] * job->taps[k + 2]);
    }
  }
#endif
#undef EC_MUL_TAP
#undef EC_MUL_ROW
}


#endif
