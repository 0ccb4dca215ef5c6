/* Products of pixels with filters: two pixels and four filters at a time, in 16-byte vectors.
 *
 * The filters come as one stream in the order of use, as `mve_stream.py` writes it. For each block of
 * four filters: the four biases, twice unless there is one pixel only; for each vector of a patch, the 16
 * weights of each filter; the four multipliers, the four shifts; and how far the next block's outputs are,
 * 0 in the last block. A patch of several rows is in segments, each followed by a word: twice how far the
 * next one is, from the end of this one, plus 1 in a block's last segment, from where the way leads back
 * to the patch's beginning.
 *
 * Weights of four bits, a constant `int4` in what follows: a byte has those of two filters, 16 times the
 * second filter's plus the first one's. The first filter is multiplied by the byte; the second by the byte
 * shifted right and rounded, which is exact; then the first has too much 16 times the second, its bias too.
 */
#ifndef EDGECOMP_MVE_MATRIX_H
#define EDGECOMP_MVE_MATRIX_H

#include "edgecomp_mve.h"

/* Eight times one of these, plus (but for the last) the vectors of a segment: what `mve_stream.py` may ask
 * for. */
enum {
  EC_MVE_CLAMPED = 0, /* one segment, no words between; outputs below the zero point are clamped to it */
  EC_MVE_WHOLE = 1,   /* one segment, no words between */
  EC_MVE_SEGMENTS = 2,
  EC_MVE_ONE = 3,      /* one pixel and one segment of any length, no words between */
  EC_MVE_ONE_SCALE = 4 /* the same, filters of one scale in whole blocks: biases and weights only */
};

/* What stays the same for all pixels. */
typedef struct {
  const int8_t *stream;
  int32_t step; /* from a pixel's patch to the next one's */
  int32_t filters;
  int32_t zero_point; /* of the output */
  int32_t form;
  int32_t vectors; /* of a segment */
  int32_t multiplier, shift; /* of all filters, where they have one scale */
} ec_mve_job;

#if EC_MVE

/* Weights of the second filter of two: they follow, or are the high bits of those loaded. */
#define EC_MVE_INT8 "vldrb.u8 q2, [%[w]], #16\n\t"
#define EC_MVE_INT4 "vrshr.s8 q2, q2, #4\n\t"
#define EC_MVE_UNMIX "sub r0, r0, r2, lsl #4\n\tsub r4, r4, r6, lsl #4\n\t"
#define EC_MVE_UNMIX_BOTH EC_MVE_UNMIX "sub r8, r8, r10, lsl #4\n\tsub r12, r12, lr, lsl #4\n\t"

/* A vector of each of two patches times four filters; the sums are in the even registers. */
#define EC_MVE_PRODUCTS(second)                                                       \
  "vldrb.u8 q2, [%[w]], #16\n\tvmladava.s8 r0, q0, q2\n\tvmladava.s8 r8, q1, q2\n\t"  \
  second "vmladava.s8 r2, q0, q2\n\tvmladava.s8 r10, q1, q2\n\t"                      \
  "vldrb.u8 q2, [%[w]], #16\n\tvmladava.s8 r4, q0, q2\n\tvmladava.s8 r12, q1, q2\n\t" \
  second "vmladava.s8 r6, q0, q2\n\tvmladava.s8 lr, q1, q2\n\t"
#define EC_MVE_AT(o, second) \
  "vldrb.u8 q0, [%[p], #" #o "]\n\tvldrb.u8 q1, [%[q], #" #o "]\n\t" EC_MVE_PRODUCTS(second)
#define EC_MVE_NEXT(second) \
  "vldrb.u8 q0, [%[p]], #16\n\tvldrb.u8 q1, [%[q]], #16\n\t" EC_MVE_PRODUCTS(second)

#define EC_MVE_BIAS "ldm %[w]!, {r0, r2, r4, r6, r8, r10, r12, lr}\n\t"
#define EC_MVE_SUMS                                            \
  "vmov q0[2], q0[0], r0, r4\n\tvmov q0[3], q0[1], r2, r6\n\t" \
  "vmov q1[2], q1[0], r8, r12\n\tvmov q1[3], q1[1], r10, lr\n\t"
#define EC_MVE_SCALE                                                                   \
  "vldrb.u8 q2, [%[w]], #16\n\tvqrdmulh.s32 q0, q0, q2\n\tvqrdmulh.s32 q1, q1, q2\n\t" \
  "vldrb.u8 q2, [%[w]], #16\n\t"
/* VRSHL rounds ties upwards: one less for negative numbers, unless the shift is 0. */
#define EC_MVE_AWAY_FROM_ZERO                                          \
  "vand q3, q0, q2\n\tvshr.s32 q3, q3, #31\n\tvadd.i32 q0, q0, q3\n\t" \
  "vand q3, q1, q2\n\tvshr.s32 q3, q3, #31\n\tvadd.i32 q1, q1, q3\n\t"
/* The outputs of the two pixels take turns in the lanes. */
#define EC_MVE_STORE                                                           \
  "vrshl.s32 q0, q0, q2\n\tvrshl.s32 q1, q1, q2\n\t"                           \
  "vqmovnb.s32 q0, q0\n\tvqmovnt.s32 q0, q1\n\tvqadd.s16 q0, q0, %q[zero]\n\t" \
  "vqmovnb.s16 q0, q0\n\tvstrb.16 q0, [%[y], %q[lanes]]\n\t"                   \
  "ldr r0, [%[w]], #4\n\tadd %[y], %[y], r0\n\tcmp r0, #0\n\tbne 1b\n\t"
/* On to the next two pixels. */
#define EC_MVE_ON                                                                      \
  "vmov r0, r2, %q[on][2], %q[on][0]\n\tvmov r4, r6, %q[on][3], %q[on][1]\n\t"         \
  "add %[p], %[p], r0\n\tadd %[q], %[q], r0\n\tmov %[w], r2\n\tadd %[y], %[y], r6\n\t" \
  "cmp %[p], r4\n\tbne 1b"

#define EC_MVE_CLOBBERS \
  "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", "q3", "cc", "memory"
#define EC_MVE_BLOCKS(products, scale)                                                    \
  __asm__ volatile("1:\n\t" EC_MVE_BIAS products EC_MVE_SUMS scale EC_MVE_STORE EC_MVE_ON \
                   : [w] "+r"(w), [p] "+r"(p), [q] "+r"(q), [y] "+r"(y), [way] "=&r"(way) \
                   : [zero] "w"(zero), [lanes] "w"(lanes), [on] "w"(on)                   \
                   : EC_MVE_CLOBBERS)
#define EC_MVE_SEGMENT(products)                                            \
  "2:\n\t" products "ldr %[way], [%[w]], #4\n\tasrs %[way], %[way], #1\n\t" \
  "add %[p], %[p], %[way]\n\tadd %[q], %[q], %[way]\n\tbcc 2b\n\t"
/* One pixel's sums of any number of vectors, in q0. */
#define EC_MVE_ONE_SUMS(second, unmix)                                          \
  "1:\n\tldm %[w]!, {r0, r2, r4, r6}\n\tdls lr, %[n]\n2:\n\t"                   \
  "vldrb.u8 q0, [%[p]], #16\n\t"                                                \
  "vldrb.u8 q2, [%[w]], #16\n\tvmladava.s8 r0, q0, q2\n\t"                      \
  second "vmladava.s8 r2, q0, q2\n\t"                                           \
  "vldrb.u8 q2, [%[w]], #16\n\tvmladava.s8 r4, q0, q2\n\t"                      \
  second "vmladava.s8 r6, q0, q2\n\t"                                           \
  "le lr, 2b\n\tsub %[p], %[p], %[n], lsl #4\n\t" unmix                         \
  "vmov q0[2], q0[0], r0, r4\n\tvmov q0[3], q0[1], r2, r6\n\t"

/* Its outputs, twice. */
#define EC_MVE_ONE_PIXEL(second, unmix)                                              \
  __asm__ volatile(EC_MVE_ONE_SUMS(second, unmix)                                    \
                   "vmov q1, q0\n\t" EC_MVE_SIGNED EC_MVE_STORE                      \
                   : [w] "+r"(w), [p] "+r"(p), [y] "+r"(y)                           \
                   : [n] "r"(vectors), [zero] "w"(zero), [lanes] "w"(lanes)          \
                   : EC_MVE_CLOBBERS)

/* One pixel's outputs of blocks of four filters, all of one scale. */
#define EC_MVE_ONE_PIXEL_SCALE(second, unmix)                                           \
  __asm__ volatile(EC_MVE_ONE_SUMS(second, unmix)                                       \
                   "vqrdmulh.s32 q0, q0, %[multiplier]\n\tlsr r0, %[shift], #31\n\t"    \
                   "vshr.s32 q1, q0, #31\n\tvmla.s32 q0, q1, r0\n\t"                    \
                   "vrshl.s32 q0, %[shift]\n\tvqmovnb.s32 q0, q0\n\t"                   \
                   "vqadd.s16 q0, q0, %q[zero]\n\tvqmovnb.s16 q0, q0\n\t"               \
                   "vstrb.32 q0, [%[y]], #4\n\tsubs %[blocks], %[blocks], #1\n\tbne 1b" \
                   : [w] "+r"(w), [p] "+r"(p), [y] "+l"(y), [blocks] "+r"(blocks)       \
                   : [n] "r"(j->vectors), [zero] "w"(zero),                             \
                     [multiplier] "r"(j->multiplier), [shift] "r"(j->shift)             \
                   : "r0", "r2", "r4", "r6", "lr", "q0", "q1", "q2", "cc", "memory")

#define EC_MVE_1(second) EC_MVE_AT(0, second)
#define EC_MVE_2(second) EC_MVE_1(second) EC_MVE_AT(16, second)
#define EC_MVE_3(second) EC_MVE_2(second) EC_MVE_AT(32, second)
#define EC_MVE_4(second) EC_MVE_3(second) EC_MVE_AT(48, second)
#define EC_MVE_NEXT_3(second) EC_MVE_NEXT(second) EC_MVE_NEXT(second) EC_MVE_NEXT(second)
#define EC_MVE_NEXT_6(second) EC_MVE_NEXT_3(second) EC_MVE_NEXT_3(second)
#define EC_MVE_SIGNED EC_MVE_SCALE EC_MVE_AWAY_FROM_ZERO

#define EC_MVE_CASE(form, products, scale) \
  case form: EC_MVE_BLOCKS(products, scale); break
/* The code of every form. */
#define EC_MVE_FORMS(second, unmix, unmix_both)                                                \
  switch (j->form) {                                                                           \
    EC_MVE_CASE(8 * EC_MVE_CLAMPED + 1, EC_MVE_1(second) unmix_both, EC_MVE_SCALE);            \
    EC_MVE_CASE(8 * EC_MVE_CLAMPED + 2, EC_MVE_2(second) unmix_both, EC_MVE_SCALE);            \
    EC_MVE_CASE(8 * EC_MVE_CLAMPED + 3, EC_MVE_3(second) unmix_both, EC_MVE_SCALE);            \
    EC_MVE_CASE(8 * EC_MVE_CLAMPED + 4, EC_MVE_4(second) unmix_both, EC_MVE_SCALE);            \
    EC_MVE_CASE(8 * EC_MVE_WHOLE + 1, EC_MVE_1(second) unmix_both, EC_MVE_SIGNED);             \
    EC_MVE_CASE(8 * EC_MVE_WHOLE + 2, EC_MVE_2(second) unmix_both, EC_MVE_SIGNED);             \
    EC_MVE_CASE(8 * EC_MVE_WHOLE + 3, EC_MVE_3(second) unmix_both, EC_MVE_SIGNED);             \
    EC_MVE_CASE(8 * EC_MVE_WHOLE + 4, EC_MVE_4(second) unmix_both, EC_MVE_SIGNED);             \
    EC_MVE_CASE(8 * EC_MVE_SEGMENTS + 1, EC_MVE_SEGMENT(EC_MVE_NEXT(second)) unmix_both,       \
                EC_MVE_SIGNED);                                                                \
    EC_MVE_CASE(8 * EC_MVE_SEGMENTS + 3, EC_MVE_SEGMENT(EC_MVE_NEXT_3(second)) unmix_both,     \
                EC_MVE_SIGNED);                                                                \
    EC_MVE_CASE(8 * EC_MVE_SEGMENTS + 6, EC_MVE_SEGMENT(EC_MVE_NEXT_6(second)) unmix_both,     \
                EC_MVE_SIGNED);                                                                \
    case 8 * EC_MVE_ONE_SCALE: EC_MVE_ONE_PIXEL_SCALE(second, unmix); break;                   \
    default: EC_MVE_ONE_PIXEL(second, unmix); break;                                           \
  }

/* All filters of the pixels at `p` and `q`, and so on for `bytes`, which `p` then is further. */
EC_INLINE const int8_t *ec_mve_filters(int int4, const int8_t *p, const int8_t *q, int32_t bytes,
                                       const ec_mve_job *j, uint16x8_t lanes, int8_t *y) {
  const int8_t *w = j->stream;
  const int32_t last_block = j->filters > 4 ? j->filters - 4 : 0;
  const int16x8_t zero = vdupq_n_s16((int16_t)j->zero_point);
  const int32x4_t on = {2 * j->step, (int32_t)(uintptr_t)p + bytes, (int32_t)(uintptr_t)w,
                        2 * j->filters - last_block};
  const int32_t vectors = j->vectors;
  int32_t way, blocks = j->filters / 4;
  if (int4) {
    EC_MVE_FORMS(EC_MVE_INT4, EC_MVE_UNMIX, EC_MVE_UNMIX_BOTH)
  } else {
    EC_MVE_FORMS(EC_MVE_INT8, "", "")
  }
  return p;
}

/* Where the outputs of four filters of two pixels go, which are `apart`: there may be fewer filters. */
EC_INLINE uint16x8_t ec_mve_lanes(int32_t filters, int32_t apart) {
  const uint16x8_t filter = {0, 0, 1, 1, 2, 2, 3, 3}, pixel = {0, 1, 0, 1, 0, 1, 0, 1};
  const uint16x8_t last = vdupq_n_u16((uint16_t)(filters - 1));
  return vmlaq_n_u16(vminq_u16(filter, last), pixel, (uint16_t)apart);
}

#else

/* The four biases of a block. */
EC_INLINE const int8_t *ec_mve_biases(int int4, const int8_t *w, int32_t sums[4]) {
  ec_copy(sums, w, 4 * sizeof sums[0]);
  for (int32_t f = 0; int4 && f < 4; f += 2) {
    sums[f] = (int32_t)((uint32_t)sums[f] - 16 * (uint32_t)sums[f + 1]);
  }
  return w + 4 * sizeof sums[0];
}

/* The weight of filter `f` that `w` has, a byte for each filter or for each two. */
EC_INLINE int32_t ec_mve_weight(int int4, const int8_t *w, int32_t f) {
  const int32_t high = (w[f / 2 * 16] + 8) >> 4;
  if (!int4) return w[f * 16];
  return f % 2 ? high : w[f / 2 * 16] - 16 * high;
}

/* Adds the products of `vectors` vectors of a patch with four filters; gives the weights after them. */
EC_INLINE const int8_t *ec_mve_products(int int4, const int8_t *patch, const int8_t *w,
                                        int32_t vectors, int32_t sums[4]) {
  for (int32_t v = 0; v < vectors; ++v, patch += 16, w += int4 ? 32 : 64) {
    for (int32_t f = 0; f < 4; ++f) {
      for (int32_t k = 0; k < 16; ++k) sums[f] += patch[k] * ec_mve_weight(int4, w + k, f);
    }
  }
  return w;
}

/* All filters, of one scale, of the pixel at `p`. */
EC_INLINE void ec_mve_filters_of_one_scale(int int4, const int8_t *p, const ec_mve_job *j,
                                           int8_t *y) {
  const int8_t *w = j->stream;
  for (int32_t f = 0; f < j->filters; f += 4) {
    int32_t sums[4];
    w = ec_mve_biases(int4, w, sums);
    w = ec_mve_products(int4, p, w, j->vectors, sums);
    for (int32_t i = 0; i < 4; ++i) {
      y[f + i] = ec_mve_rescaled(sums[i], j->multiplier, j->shift, j->zero_point);
    }
  }
}

/* All filters of the pixel at `p`. */
EC_INLINE void ec_mve_filters(int int4, const int8_t *p, const ec_mve_job *j, int8_t *y) {
  const int32_t vectors = j->vectors;
  const int8_t *w = j->stream;
  int32_t next = j->form != 8 * EC_MVE_ONE_SCALE;
  if (!next) ec_mve_filters_of_one_scale(int4, p, j, y);
  for (int8_t *to = y; next; to += next) {
    int32_t sums[4], way = 1;
    w = ec_mve_biases(int4, w, sums) + (j->form >> 3 == EC_MVE_ONE ? 0 : sizeof sums);
    do {
      w = ec_mve_products(int4, p, w, vectors, sums);
      if (j->form >> 3 == EC_MVE_SEGMENTS) {
        way = ec_mve_word(w);
        w += 4;
        p += 16 * vectors + (way >> 1);
      }
    } while (!(way & 1));
    for (int32_t f = 0; f < 4 && f < j->filters; ++f) {
      const int32_t multiplier = ec_mve_word(w + 4 * f), shift = ec_mve_word(w + 16 + 4 * f);
      to[f] = ec_mve_rescaled(sums[f], multiplier, shift, j->zero_point);
    }
    next = ec_mve_word(w + 32);
    w += 36;
  }
}

#endif

/* `count` pixels, the first patch of which is at `p`. */
EC_INLINE void ec_mve_pixels_of(int int4, const ec_mve_job *j, const int8_t *p, int32_t count,
                                int8_t *y) {
#if EC_MVE
  const int32_t both = 2 * j->step;
  uint16x8_t lanes = ec_mve_lanes(j->filters, j->filters);
  const int8_t *q = p + j->step;
  int32_t bytes = count / 2 * both;
  EC_ROLLED for (int32_t part = 0; part < 2; ++part) {
    if (bytes) p = ec_mve_filters(int4, p, q, bytes, j, lanes, y);
    /* then the pixel that is left over, with itself */
    y += (count - count % 2) * j->filters;
    lanes = ec_mve_lanes(j->filters, 0);
    bytes = count % 2 * both;
    q = p;
  }
#else
  for (; count > 0; --count, p += j->step, y += j->filters) ec_mve_filters(int4, p, j, y);
#endif
}

EC_NOINLINE void ec_mve_pixels_int8(const ec_mve_job *j, const int8_t *p, int32_t count,
                                    int8_t *y) {
  ec_mve_pixels_of(0, j, p, count, y);
}

EC_NOINLINE void ec_mve_pixels_int4(const ec_mve_job *j, const int8_t *p, int32_t count,
                                    int8_t *y) {
  ec_mve_pixels_of(1, j, p, count, y);
}

EC_INLINE void ec_mve_pixels(int int4, const ec_mve_job *j, const int8_t *p, int32_t count,
                             int8_t *y) {
  if (int4) {
    ec_mve_pixels_int4(j, p, count, y);
  } else {
    ec_mve_pixels_int8(j, p, count, y);
  }
}

#endif
