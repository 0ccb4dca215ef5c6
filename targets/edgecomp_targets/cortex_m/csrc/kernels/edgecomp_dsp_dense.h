/* Dense layers of one row, four units at a time, by packed weights as in `edgecomp_dsp_matrix.h` or, with
 * `int4`, a constant, as in `edgecomp_dsp_int4.h`.
 *
 * The row is expanded as it is read: every weight is used once, so there is nothing to keep.
 */
#ifndef EDGECOMP_DSP_DENSE_H
#define EDGECOMP_DSP_DENSE_H

#include "edgecomp_dsp_int4.h"

/* As `dsp_dense.py` writes it. */
typedef struct {
  int32_t quads; /* of the row, 1 or more */
  int32_t units;
  int32_t own_rescaling; /* 1: each unit has its own; 0: all have the first */
  ec_output_range range;
} ec_dsp_dense_shape;

/* As `dsp_dense.py` writes it; the bias lies apart. */
typedef struct {
  int32_t multiplier, addend, shift;
} ec_dsp_dense_rescaling;

/* Inside the loop over units GCC finds no registers for the assembly. */
#if defined(__clang__)
#define EC_DSP_DENSE_INNER EC_INLINE
#else
#define EC_DSP_DENSE_INNER EC_NOINLINE
#endif

#if EC_DSP && defined(__GNUC__)

/* r2-r5: weights of four elements of the row with units (a, b), then (c, d); r6, r12: those elements. */
#define EC_DSP_DENSE_QUAD             \
  "ldr r12, [%[x]], #4\n"             \
  "ldmia %[p]!, {r2, r3, r4, r5}\n"   \
  "sxtb16 r6, r12\n"                  \
  "sxtb16 r12, r12, ror #8\n"         \
  "smlad %[ab], r6, r2, %[ab]\n"      \
  "smlad %[cd], r6, r4, %[cd]\n"      \
  "sxtb16 r2, r2\n"                   \
  "sxtb16 r4, r4\n"                   \
  "smlad %[a], r6, r2, %[a]\n"        \
  "smlad %[c], r6, r4, %[c]\n"        \
  "smlad %[ab], r12, r3, %[ab]\n"     \
  "smlad %[cd], r12, r5, %[cd]\n"     \
  "sxtb16 r3, r3\n"                   \
  "sxtb16 r5, r5\n"                   \
  "smlad %[a], r12, r3, %[a]\n"       \
  "smlad %[c], r12, r5, %[c]\n"

/* Two words of weights of four elements of the row with four units, loaded to v and w. */
#define EC_DSP_DENSE_QUAD_INT4(v, w)                            \
  "ldr r12, [%[x]], #4\n"                                       \
  "sxtb16 r6, r12\n"                                            \
  "sxtb16 r12, r12, ror #8\n"                                   \
  "smlad %[all], r6, " v ", %[all]\n"                           \
  "smlad %[all], r12, " w ", %[all]\n"                          \
  "bic " v ", " v ", #0x0F000F00\n"                             \
  "bic " w ", " w ", #0x0F000F00\n"                             \
  "smlad %[no_d], r6, " v ", %[no_d]\n"                         \
  "smlad %[no_d], r12, " w ", %[no_d]\n"                        \
  "uxtb16 " v ", " v "\n"                                       \
  "uxtb16 " w ", " w "\n"                                       \
  "smlad %[low], r6, " v ", %[low]\n"                           \
  "smlad %[low], r12, " w ", %[low]\n"                          \
  "bic " v ", " v ", #0x000F000F\n"                             \
  "bic " w ", " w ", #0x000F000F\n"                             \
  "smlad %[no_b], r6, " v ", %[no_b]\n"                         \
  "smlad %[no_b], r12, " w ", %[no_b]\n"
#define EC_DSP_DENSE_ONE_INT4 "ldrd r2, r3, [%[p]], #8\n" EC_DSP_DENSE_QUAD_INT4("r2", "r3")
#define EC_DSP_DENSE_TWO_INT4         \
  "ldmia %[p]!, {r2, r3, r4, r5}\n"   \
  EC_DSP_DENSE_QUAD_INT4("r2", "r3") EC_DSP_DENSE_QUAD_INT4("r4", "r5")

/* Adds the products of the row; gives the weights after them. */
EC_DSP_DENSE_INNER const uint32_t *ec_dsp_dense_add(const int8_t *x, const uint32_t *weights,
                                                    int32_t quads, ec_dsp_int4_sums *s) {
  uint32_t all = 0, no_d = 0, low = 0, no_b = 0;
  const int8_t *const end = x + 4 * quads;
  __asm__ volatile(
      "sub r2, %[end], %[x]\n"
      "lsls r2, r2, #29\n" /* N: an odd quad; C: two more than a multiple of four */
      "bpl 1f\n" EC_DSP_DENSE_ONE_INT4
      "1:\n"
      "bcc 3f\n" EC_DSP_DENSE_TWO_INT4
      "b 3f\n"
      "2:\n" EC_DSP_DENSE_TWO_INT4 EC_DSP_DENSE_TWO_INT4
      "3:\n"
      "cmp %[x], %[end]\n"
      "bne 2b\n"
      : [x] "+r"(x), [p] "+r"(weights), [all] "+r"(all), [no_d] "+r"(no_d), [low] "+r"(low),
        [no_b] "+r"(no_b)
      : [end] "r"(end)
      : "r2", "r3", "r4", "r5", "r6", "r12", "cc", "memory");
  s->all = all;
  s->without_d = no_d;
  s->low = low;
  s->without_b = no_b;
  return weights;
}

/* Sums of four units: of a, of a and b together, of c, of c and d. Gives the weights after them. */
EC_DSP_DENSE_INNER const uint32_t *ec_dsp_dense_sums(const int8_t *x, const uint32_t *weights,
                                                     int32_t quads, uint32_t sums[4]) {
  uint32_t a = 0, ab = 0, c = 0, cd = 0;
  const int8_t *const end = x + 4 * quads;
  __asm__ volatile(
      "sub r2, %[end], %[x]\n"
      "tst r2, #4\n"
      "beq 2f\n" EC_DSP_DENSE_QUAD
      "b 2f\n"
      "1:\n" EC_DSP_DENSE_QUAD EC_DSP_DENSE_QUAD
      "2:\n"
      "cmp %[x], %[end]\n"
      "bne 1b\n"
      : [x] "+r"(x), [p] "+r"(weights), [a] "+r"(a), [ab] "+r"(ab), [c] "+r"(c), [cd] "+r"(cd)
      : [end] "r"(end)
      : "r2", "r3", "r4", "r5", "r6", "r12", "cc", "memory");
  sums[0] = a;
  sums[1] = ab;
  sums[2] = c;
  sums[3] = cd;
  return weights;
}

#else

EC_DSP_DENSE_INNER const uint32_t *ec_dsp_dense_add(const int8_t *x, const uint32_t *weights,
                                                    int32_t quads, ec_dsp_int4_sums *s) {
  s->all = s->without_d = s->low = s->without_b = 0;
  for (; quads > 0; --quads, x += 4, weights += 2) {
    const uint32_t word = ec_load_word(x);
    ec_dsp_int4_add(s, ec_even_bytes(word), weights[0]);
    ec_dsp_int4_add(s, ec_odd_bytes(word), weights[1]);
  }
  return weights;
}

EC_DSP_DENSE_INNER const uint32_t *ec_dsp_dense_sums(const int8_t *x, const uint32_t *weights,
                                                     int32_t quads, uint32_t sums[4]) {
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  for (; quads > 0; --quads, x += 4, weights += 4) {
    const uint32_t word = ec_load_word(x), even = ec_even_bytes(word), odd = ec_odd_bytes(word);
    for (int32_t i = 0; i < 4; i += 2) {
      const uint32_t v = weights[i], w = weights[i + 1];
      sums[i] = ec_dual_multiply_add(even, ec_even_bytes(v), sums[i]);
      sums[i] = ec_dual_multiply_add(odd, ec_even_bytes(w), sums[i]);
      sums[i + 1] = ec_dual_multiply_add(odd, w, ec_dual_multiply_add(even, v, sums[i + 1]));
    }
  }
  return weights;
}

#endif

/* Twice the sums of four units; gives the weights after them. */
EC_INLINE const uint32_t *ec_dsp_dense_twice(int int4, const int8_t *x, const uint32_t *weights,
                                             int32_t quads, uint32_t row, int32_t twice[4]) {
  if (int4) {
    ec_dsp_int4_sums s;
    weights = ec_dsp_dense_add(x, weights, quads, &s);
    s.vector = row;
    ec_dsp_int4_twice(&s, twice);
  } else {
    uint32_t sums[4];
    weights = ec_dsp_dense_sums(x, weights, quads, sums);
    twice[0] = (int32_t)(sums[0] + sums[0]);
    twice[1] = (int32_t)(sums[1] - sums[0]) >> 7;
    twice[2] = (int32_t)(sums[2] + sums[2]);
    twice[3] = (int32_t)(sums[3] - sums[2]) >> 7;
  }
  return weights;
}

/* The sum of the row. */
EC_INLINE uint32_t ec_dsp_row_sum(const int8_t *x, int32_t quads) {
  uint32_t sum = 0;
  EC_ROLLED for (; quads > 0; --quads, x += 4) {
    const uint32_t word = ec_load_word(x);
    sum = ec_dual_multiply_add(ec_even_bytes(word), EC_INT4_ONES, sum);
    sum = ec_dual_multiply_add(ec_odd_bytes(word), EC_INT4_ONES, sum);
  }
  return sum;
}

EC_INLINE int8_t ec_dsp_dense_step(int32_t twice, const ec_dsp_dense_rescaling *r) {
  const ec_dsp_channel channel = {0, r->multiplier, r->addend, r->shift};
  return (int8_t)ec_clamp(ec_dsp_rescale(twice, &channel), -128, 127);
}

/* `bias` is twice the bias of each unit; weights are filled up to four units. */
EC_INLINE void ec_dsp_dense_of(int int4, const int8_t *x, const int32_t *packed,
                               const int32_t *bias, const int32_t *rescaling, const int32_t *shape,
                               int8_t *y) {
  const ec_dsp_dense_shape *const s = (const ec_dsp_dense_shape *)(const void *)shape;
  const ec_dsp_dense_rescaling *r = (const ec_dsp_dense_rescaling *)(const void *)rescaling;
  const uint32_t *weights = (const uint32_t *)(const void *)packed;
  const int32_t quads = s->quads, own = s->own_rescaling;
  const uint32_t row = int4 ? ec_dsp_row_sum(x, quads) : 0;
  int8_t *out = y;
  for (int32_t left = s->units; left > 0; left -= 4, bias += 4, out += 4, r += 4 * own) {
    int32_t twice[4];
    weights = ec_dsp_dense_twice(int4, x, weights, quads, row, twice);
    out[0] = ec_dsp_dense_step(twice[0] + bias[0], r);
    if (left == 1) break;
    out[1] = ec_dsp_dense_step(twice[1] + bias[1], r + own);
    if (left == 2) break;
    out[2] = ec_dsp_dense_step(twice[2] + bias[2], r + 2 * own);
    if (left == 3) break;
    out[3] = ec_dsp_dense_step(twice[3] + bias[3], r + 3 * own);
  }
  if (s->range.narrow) ec_narrow(y, s->units, &s->range);
}

EC_NOINLINE void ec_dsp_dense(const int8_t *x, const int32_t *packed, const int32_t *bias,
                              const int32_t *rescaling, const int32_t *shape, int8_t *y) {
  ec_dsp_dense_of(0, x, packed, bias, rescaling, shape, y);
}

EC_NOINLINE void ec_dsp_dense_int4(const int8_t *x, const int32_t *packed, const int32_t *bias,
                                   const int32_t *rescaling, const int32_t *shape, int8_t *y) {
  ec_dsp_dense_of(1, x, packed, bias, rescaling, shape, y);
}

#endif
