/* Sums of products of four interleaved patches with the entries of one filter.
 *
 * An entry is two bytes: how many elements of a patch to skip, and the weight after them. Entries come in
 * pairs. Cores with the DSP extension multiply int16; skipped elements count eight for them, as many bytes
 * as four of int16 are.
 */
#ifndef EDGECOMP_SPARSE_SUMS_H
#define EDGECOMP_SPARSE_SUMS_H

#include "edgecomp_mul_output.h"

#define EC_SPARSE_SKIP_16 8

/* Sums of four patches of int16 with `pairs` of entries; gives the entries after them. */
EC_INLINE const uint8_t *ec_sparse_sums_16(const int16_t *x, const uint8_t *entries,
                                           int32_t pairs, uint32_t sums[4]) {
  uint32_t a = 0, b = 0, c = 0, d = 0;
#if EC_DSP && defined(__GNUC__)
#define EC_SPARSE_PAIR                 \
  "ldr r2, [%[p]], #4\n"               \
  "uxtab %[x], %[x], r2\n"             \
  "ldrd r4, r5, [%[x]], #8\n"          \
  "sxtb16 r3, r2, ror #8\n"            \
  "uxtab %[x], %[x], r2, ror #16\n"    \
  "smlabb %[a], r4, r3, %[a]\n"        \
  "smlatb %[b], r4, r3, %[b]\n"        \
  "smlabb %[c], r5, r3, %[c]\n"        \
  "smlatb %[d], r5, r3, %[d]\n"        \
  "ldrd r4, r5, [%[x]], #8\n"          \
  "smlabt %[a], r4, r3, %[a]\n"        \
  "smlatt %[b], r4, r3, %[b]\n"        \
  "smlabt %[c], r5, r3, %[c]\n"        \
  "smlatt %[d], r5, r3, %[d]\n"
  __asm__ volatile(
      "lsrs %[n], %[n], #1\n" /* C: an odd pair; Z: no others */
      "bcc 1f\n" EC_SPARSE_PAIR
      "1:\n"
      "beq 3f\n"
      "2:\n" EC_SPARSE_PAIR EC_SPARSE_PAIR
      "subs %[n], %[n], #1\n"
      "bne 2b\n"
      "3:\n"
      : [x] "+r"(x), [p] "+r"(entries), [n] "+r"(pairs), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c),
        [d] "+r"(d)
      :
      : "r2", "r3", "r4", "r5", "cc", "memory");
#undef EC_SPARSE_PAIR
#else
  for (int32_t i = 0; i < 2 * pairs; ++i, entries += 2, x += 4) {
    const int32_t weight = (int8_t)entries[1];
    x += 4 * (entries[0] / EC_SPARSE_SKIP_16);
    a += (uint32_t)(x[0] * weight);
    b += (uint32_t)(x[1] * weight);
    c += (uint32_t)(x[2] * weight);
    d += (uint32_t)(x[3] * weight);
  }
#endif
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
  return entries;
}

/* The operands of `ec_sparse_sums_32`; the assembly knows the offsets. */
typedef struct {
  const int32_t *patches;
  const uint8_t *end, *entries;
} ec_sparse_product;

/* Sums of four patches of int32 with `pairs` of entries; gives the entries after them. */
EC_INLINE const uint8_t *ec_sparse_sums_32(const int32_t *x, const uint8_t *entries,
                                           int32_t pairs, uint32_t sums[4]) {
#if EC_MUL_THUMB == 2
  const uint8_t *const end = entries + 4 * pairs;
  uint32_t a = 0, b = 0, c = 0, d = 0;
#define EC_SPARSE_ENTRY              \
  "ldrb r2, [%[p]], #1\n"            \
  "add %[x], %[x], r2, lsl #4\n"     \
  "ldrsb r2, [%[p]], #1\n"           \
  "ldmia %[x]!, {r3, r4, r5, r6}\n"  \
  "mla %[a], r3, r2, %[a]\n"         \
  "mla %[b], r4, r2, %[b]\n"         \
  "mla %[c], r5, r2, %[c]\n"         \
  "mla %[d], r6, r2, %[d]\n"
  __asm__ volatile(
      "b 2f\n"
      "1:\n" EC_SPARSE_ENTRY EC_SPARSE_ENTRY
      "2:\n"
      "cmp %[p], %[end]\n"
      "bne 1b\n"
      : [x] "+r"(x), [p] "+r"(entries), [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
      : [end] "r"(end)
      : "r2", "r3", "r4", "r5", "r6", "cc", "memory");
#undef EC_SPARSE_ENTRY
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
#elif EC_MUL_THUMB == 1
  const ec_sparse_product job = {x, entries + 4 * pairs, entries};
  const void *p = &job;
  uint32_t *at = sums;
  /* sums in r8-r11; high registers only add, move and compare */
#define EC_SPARSE_ENTRY(skip, weight) \
  "ldrb r2, [%[p], #" skip "]\n"      \
  "lsls r2, r2, #4\n"                 \
  "adds %[x], %[x], r2\n"             \
  "movs r6, #" weight "\n"            \
  "ldrsb r6, [%[p], r6]\n"            \
  "ldmia %[x]!, {r2, r3, r4, r5}\n"   \
  "muls r2, r6, r2\n"                 \
  "muls r3, r6, r3\n"                 \
  "muls r4, r6, r4\n"                 \
  "muls r5, r6, r5\n"                 \
  "add r8, r2\n"                      \
  "add r9, r3\n"                      \
  "add r10, r4\n"                     \
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
      "b 2f\n"
      "1:\n" EC_SPARSE_ENTRY("0", "1") EC_SPARSE_ENTRY("2", "3")
      "adds %[p], #4\n"
      "2:\n"
      "cmp %[p], r12\n"
      "bne 1b\n"
      "mov %[x], lr\n"
      "mov r2, r8\n"
      "mov r3, r9\n"
      "mov r4, r10\n"
      "mov r5, r11\n"
      "stmia %[x]!, {r2, r3, r4, r5}\n"
      : [x] "+l"(at), [p] "+l"(p)
      :
      : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
  entries = job.end;
#undef EC_SPARSE_ENTRY
#else
  const uint8_t *const end = entries + 4 * pairs;
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  for (; entries != end; entries += 2, x += 4) {
    const uint32_t weight = (uint32_t)(int32_t)(int8_t)entries[1];
    x += 4 * entries[0];
    for (int32_t i = 0; i < 4; ++i) sums[i] += (uint32_t)x[i] * weight;
  }
#endif
  return entries;
}

#endif
