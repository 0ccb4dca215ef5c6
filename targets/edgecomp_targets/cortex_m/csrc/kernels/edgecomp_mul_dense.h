/* Dense layers of one row for cores that multiply one number at a time, four units at once. */
#ifndef EDGECOMP_MUL_DENSE_H
#define EDGECOMP_MUL_DENSE_H

#include "edgecomp_mul.h"

/* As `mul_dense.py` writes it. */
typedef struct {
  int32_t depth; /* of the row, a multiple of 4 */
  int32_t units;
  int32_t own_rescaling; /* 1: each unit has its own; 0: all have the first */
  ec_output_range range;
} ec_mul_dense_shape;

/* As `mul_dense.py` writes it; the bias lies apart. */
typedef struct {
  int32_t multiplier, addend, shift;
} ec_mul_dense_rescaling;

#if EC_MUL_THUMB == 1

#define EC_MUL_DENSE_WEIGHT(k, sum) \
  "ldrb r3, [%[p], #" #k "]\n"      \
  "muls r3, r2, r3\n"               \
  "add " sum ", r3\n"

/* Element k of the row with the weights of four units. */
#define EC_MUL_DENSE_ELEMENT(k, w0, w1, w2, w3)                    \
  "movs r2, #" #k "\n"                                             \
  "ldrsb r2, [%[x], r2]\n" EC_MUL_DENSE_WEIGHT(w0, "r8")           \
      EC_MUL_DENSE_WEIGHT(w1, "r9") EC_MUL_DENSE_WEIGHT(w2, "r10")  \
          EC_MUL_DENSE_WEIGHT(w3, "r11")

/* Sums of four units, each too large by EC_MUL_OFFSET times the sum of the row. */
EC_INLINE const uint8_t *ec_mul_dense_sums(const int8_t *x, const uint8_t *weights, int32_t depth,
                                           int32_t sums[4]) {
  const int8_t *const end = x + depth;
  __asm__ volatile(
      ".syntax unified\n"
      "mov r12, %[sums]\n"
      "movs r2, #0\n"
      "mov r8, r2\n"
      "mov r9, r2\n"
      "mov r10, r2\n"
      "mov r11, r2\n"
      "1:\n" EC_MUL_DENSE_ELEMENT(0, 0, 1, 2, 3) EC_MUL_DENSE_ELEMENT(1, 4, 5, 6, 7)
          EC_MUL_DENSE_ELEMENT(2, 8, 9, 10, 11) EC_MUL_DENSE_ELEMENT(3, 12, 13, 14, 15)
      "adds %[x], #4\n"
      "adds %[p], #16\n"
      "cmp %[x], %[end]\n"
      "bne 1b\n"
      "mov %[x], r12\n"
      "mov r2, r8\n"
      "str r2, [%[x]]\n"
      "mov r2, r9\n"
      "str r2, [%[x], #4]\n"
      "mov r2, r10\n"
      "str r2, [%[x], #8]\n"
      "mov r2, r11\n"
      "str r2, [%[x], #12]\n"
      : [x] "+l"(x), [p] "+l"(weights)
      : [end] "l"(end), [sums] "l"(sums)
      : "r2", "r3", "r8", "r9", "r10", "r11", "r12", "cc", "memory");
  return weights;
}

#else

/* Element k of the row with the weights of four units. */
#define EC_MUL_DENSE_ELEMENT(k)   \
  do {                            \
    const int32_t e = x[k];       \
    a += e * weights[4 * k];      \
    b += e * weights[4 * k + 1];  \
    c += e * weights[4 * k + 2];  \
    d += e * weights[4 * k + 3];  \
  } while (0)

/* Sums of four units, each too large by EC_MUL_OFFSET times the sum of the row. */
EC_INLINE const uint8_t *ec_mul_dense_sums(const int8_t *x, const uint8_t *weights, int32_t depth,
                                           int32_t sums[4]) {
  int32_t a = 0, b = 0, c = 0, d = 0;
  EC_ROLLED for (const int8_t *const end = x + depth; x != end; x += 4, weights += 16) {
    EC_MUL_DENSE_ELEMENT(0);
    EC_MUL_DENSE_ELEMENT(1);
    EC_MUL_DENSE_ELEMENT(2);
    EC_MUL_DENSE_ELEMENT(3);
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
  return weights;
}

#endif

/* `bias` is twice the bias of each unit; weights are filled up to four units. */
EC_NOINLINE void ec_mul_dense(const int8_t *x, const uint8_t *weights, const int32_t *bias,
                              const int32_t *rescaling, const int32_t *shape, int8_t *y) {
  const ec_mul_dense_shape *const s = (const ec_mul_dense_shape *)(const void *)shape;
  const ec_mul_dense_rescaling *r = (const ec_mul_dense_rescaling *)(const void *)rescaling;
  int32_t excess = 0;
  for (int32_t i = 0; i < s->depth; ++i) excess += EC_MUL_OFFSET * x[i];
  for (int32_t first = 0; first < s->units; first += 4) {
    int32_t sums[4];
    weights = ec_mul_dense_sums(x, weights, s->depth, sums);
    for (int32_t i = 0; i < 4 && first + i < s->units; ++i, r += s->own_rescaling) {
      const ec_dsp_channel unit = {0, r->multiplier, r->addend, r->shift};
      const int32_t step = ec_dsp_rescale(2 * (sums[i] - excess) + bias[first + i], &unit);
      y[first + i] = (int8_t)ec_clamp(step, -128, 127);
    }
  }
  if (s->range.narrow) ec_narrow(y, s->units, &s->range);
}

#endif
