/* 3x3 convolution by steps of one pixel: four pixels and two filters at a time.
 *
 * The windows of four pixels overlap: six vectors serve twelve taps. The filters come as one stream, as
 * `mve_slide.py` writes it. For each block of two filters: four times the first one's bias, then the
 * other's; for each row of the kernel, each sixteen channels and each tap, the weights of both, and after
 * a row a word: twice how far the next one is, plus 1 after the last, from where the way leads back; the
 * two multipliers, the two shifts; and how far the next block's outputs are, 0 in the last block. With
 * `int4`, a constant, a byte has weights of both filters, as in `edgecomp_mve_matrix.h`.
 */
#ifndef EDGECOMP_MVE_SLIDE_H
#define EDGECOMP_MVE_SLIDE_H

#include "edgecomp_mve_rows.h"

#if EC_MVE

#define EC_MVE_SLIDE_INT8 "vldrb.u8 q4, [%[w]], #16\n\t"
#define EC_MVE_SLIDE_INT4 "vrshr.s8 q4, q4, #4\n\t"
#define EC_MVE_SLIDE_UNMIX                                          \
  "sub r0, r0, r8, lsl #4\n\tsub r2, r2, r10, lsl #4\n\t"           \
  "sub r4, r4, r12, lsl #4\n\tsub r6, r6, lr, lsl #4\n\t"

/* One tap of both filters, the four pixels being in `a` to `d`; the sums are in the even registers. */
#define EC_MVE_TAP(second, a, b, c, d)                                                     \
  "vldrb.u8 q4, [%[w]], #16\n\tvmladava.s8 r0, " a ", q4\n\tvmladava.s8 r2, " b ", q4\n\t" \
  "vmladava.s8 r4, " c ", q4\n\tvmladava.s8 r6, " d ", q4\n\t"                             \
  second "vmladava.s8 r8, " a ", q4\n\tvmladava.s8 r10, " b ", q4\n\t"                     \
  "vmladava.s8 r12, " c ", q4\n\tvmladava.s8 lr, " d ", q4\n\t"
/* Sixteen channels from `at` on of a row of the windows, for pixels of `channels`. */
#define EC_MVE_WINDOWS(second, channels, at)                                            \
  "vldrw.u32 q0, [%[p], #" #at "]\n\tvldrw.u32 q1, [%[p], #" #channels "+" #at "]\n\t"  \
  "vldrw.u32 q2, [%[p], #2*" #channels "+" #at "]\n\t"                                  \
  "vldrw.u32 q3, [%[p], #3*" #channels "+" #at "]\n\t"                                  \
  EC_MVE_TAP(second, "q0", "q1", "q2", "q3")                                            \
  "vldrw.u32 q0, [%[p], #4*" #channels "+" #at "]\n\t"                                  \
  EC_MVE_TAP(second, "q1", "q2", "q3", "q0")                                            \
  "vldrw.u32 q1, [%[p], #5*" #channels "+" #at "]\n\t"                                  \
  EC_MVE_TAP(second, "q2", "q3", "q0", "q1")

/* VRSHL rounds ties upwards: one less for negative numbers, unless the shift is 0. */
#define EC_MVE_SLIDE_SCALE                                                            \
  "vmov q0[2], q0[0], r0, r4\n\tvmov q0[3], q0[1], r2, r6\n\t"                        \
  "vmov q1[2], q1[0], r8, r12\n\tvmov q1[3], q1[1], r10, lr\n\t"                      \
  "ldrd r0, r2, [%[w]], #8\n\tvqrdmulh.s32 q0, q0, r0\n\tvqrdmulh.s32 q1, q1, r2\n\t" \
  "ldrd r4, r6, [%[w]], #8\n\tlsr r0, r4, #31\n\tlsr r2, r6, #31\n\t"                 \
  "vshr.s32 q2, q0, #31\n\tvmla.s32 q0, q2, r0\n\t"                                   \
  "vshr.s32 q2, q1, #31\n\tvmla.s32 q1, q2, r2\n\t"                                   \
  "vrshl.s32 q0, r4\n\tvrshl.s32 q1, r6\n\t"                                          \
  "vqmovnb.s32 q0, q0\n\tvqmovnt.s32 q0, q1\n\tvqadd.s16 q0, q0, %q[zero]\n\t"        \
  "vqmovnb.s16 q0, q0\n\tvstrb.16 q0, [%[y], %q[lanes]]\n\t"

/* Blocks of two filters, then on to the next four pixels. */
#define EC_MVE_SLIDE(row, unmix)                                                                       \
  __asm__ volatile("1:\n\tldm %[w]!, {r0, r2, r4, r6, r8, r10, r12, lr}\n2:\n\t" row            \
                   "ldr %[way], [%[w]], #4\n\tasrs %[way], %[way], #1\n\t"                      \
                   "add %[p], %[p], %[way]\n\tbcc 2b\n\t" unmix EC_MVE_SLIDE_SCALE                    \
                   "ldr r0, [%[w]], #4\n\tadd %[y], %[y], r0\n\tcmp r0, #0\n\tbne 1b\n\t"       \
                   "vmov r0, r2, %q[on][2], %q[on][0]\n\tvmov r4, r6, %q[on][3], %q[on][1]\n\t" \
                   "add %[p], %[p], r0\n\tmov %[w], r2\n\tadd %[y], %[y], r6\n\t"               \
                   "cmp %[p], r4\n\tbne 1b"                                                     \
                   : [w] "+r"(w), [p] "+r"(p), [y] "+r"(y), [way] "=&r"(way)                    \
                   : [zero] "w"(zero), [lanes] "w"(lanes), [on] "w"(on)                         \
                   : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2",        \
                     "q3", "q4", "cc", "memory")

#define EC_MVE_WINDOWS_32(second) EC_MVE_WINDOWS(second, 32, 0) EC_MVE_WINDOWS(second, 32, 16)
#define EC_MVE_WINDOWS_64(second)                                 \
  EC_MVE_WINDOWS(second, 64, 0) EC_MVE_WINDOWS(second, 64, 16)    \
      EC_MVE_WINDOWS(second, 64, 32) EC_MVE_WINDOWS(second, 64, 48)
#define EC_MVE_SLIDES(second, unmix)                                      \
  switch (s->channels) {                                                  \
    case 16: EC_MVE_SLIDE(EC_MVE_WINDOWS(second, 16, 0), unmix); break;   \
    case 32: EC_MVE_SLIDE(EC_MVE_WINDOWS_32(second), unmix); break;       \
    default: EC_MVE_SLIDE(EC_MVE_WINDOWS_64(second), unmix); break;       \
  }

/* One row of pixels, the windows of which begin at `p`; their number is a multiple of four. */
EC_INLINE void ec_mve_slide_row(int int4, const ec_mve_conv_shape *s, const int8_t *p,
                                const int8_t *w, int8_t *y) {
  const int32_t filters = s->filters, last_block = filters > 2 ? filters - 2 : 0;
  const uint16x8_t pixel = {0, 0, 1, 1, 2, 2, 3, 3}, filter = {0, 1, 0, 1, 0, 1, 0, 1};
  const uint16x8_t one = vminq_u16(filter, vdupq_n_u16((uint16_t)(filters - 1)));
  const uint16x8_t lanes = vmlaq_n_u16(one, pixel, (uint16_t)filters);
  const int16x8_t zero = vdupq_n_s16((int16_t)s->zero_point);
  const int32x4_t on = {4 * s->channels, (int32_t)(uintptr_t)p + s->out_width * s->channels,
                        (int32_t)(uintptr_t)w, 4 * filters - last_block};
  int32_t way;
  if (int4) {
    EC_MVE_SLIDES(EC_MVE_SLIDE_INT4, EC_MVE_SLIDE_UNMIX)
  } else {
    EC_MVE_SLIDES(EC_MVE_SLIDE_INT8, "")
  }
}

#else

/* Adds the products of a row of the kernel with the windows of four pixels; gives where the stream goes
 * on. */
EC_INLINE const int8_t *ec_mve_slide_products(int int4, const int8_t *p, const int8_t *w,
                                              int32_t channels, int32_t sums[2][4]) {
  for (int32_t at = 0; at < channels; at += 16) {
    for (int32_t tap = 0; tap < 3; ++tap) {
      for (int32_t i = 0; i < 64; ++i) {
        const int32_t x = p[(i / 16 + tap) * channels + at + i % 16];
        const int32_t high = (w[i % 16] + 8) >> 4;
        sums[0][i / 16] += x * (int4 ? w[i % 16] - 16 * high : w[i % 16]);
        sums[1][i / 16] += x * (int4 ? high : w[16 + i % 16]);
      }
      w += int4 ? 16 : 32;
    }
  }
  return w;
}

EC_INLINE void ec_mve_slide_row(int int4, const ec_mve_conv_shape *s, const int8_t *row,
                                const int8_t *stream, int8_t *y) {
  for (int32_t at = 0; at < s->out_width; at += 4, y += 4 * s->filters) {
    const int8_t *p = row + at * s->channels, *w = stream;
    int32_t next = 1, way;
    for (int8_t *to = y; next; to += next, w += 20) {
      int32_t sums[2][4];
      ec_copy(sums, w, sizeof sums);
      for (int32_t i = 0; int4 && i < 4; ++i) {
        sums[0][i] = (int32_t)((uint32_t)sums[0][i] - 16 * (uint32_t)sums[1][i]);
      }
      w += sizeof sums;
      do {
        w = ec_mve_slide_products(int4, p, w, s->channels, sums);
        way = ec_mve_word(w);
        w += 4;
        p += way >> 1;
      } while (!(way & 1));
      for (int32_t i = 0; i < 8 && i / 4 < s->filters; ++i) {
        const int32_t multiplier = ec_mve_word(w + i / 4 * 4), shift = ec_mve_word(w + 8 + i / 4 * 4);
        to[i % 4 * s->filters + i / 4] =
            ec_mve_rescaled(sums[i / 4][i % 4], multiplier, shift, s->zero_point);
      }
      next = ec_mve_word(w + 16);
    }
  }
}

#endif

/* NHWC convolution of 16, 32 or 64 channels. `scratch` has the rows of a kernel with their border:
 * words are read from there, the input may lie anywhere. */
EC_INLINE void ec_mve_slide_of(int int4, const int8_t *x, const int32_t *stream,
                               const int32_t *shape, int8_t *y, int32_t *scratch) {
  const ec_mve_conv_shape *const s = (const ec_mve_conv_shape *)(const void *)shape;
  const int8_t *const w = (const int8_t *)(const void *)stream;
  const int32_t pitch = s->width * s->channels;
  int8_t *const rows = (int8_t *)(void *)scratch, *out = y;
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * pitch) {
    for (int32_t h = 0; h < s->out_height; ++h, out += s->out_width * s->filters) {
      ec_mve_pad_rows(x, rows, s, h - s->pad_top);
      ec_mve_slide_row(int4, s, rows, w, out);
    }
  }
  if (s->range.narrow) ec_mve_narrow(y, (int32_t)(out - y), &s->range);
}

EC_NOINLINE void ec_mve_slide(const int8_t *x, const int32_t *stream, const int32_t *shape,
                              int8_t *y, int32_t *scratch) {
  ec_mve_slide_of(0, x, stream, shape, y, scratch);
}

EC_NOINLINE void ec_mve_slide_int4(const int8_t *x, const int32_t *stream, const int32_t *shape,
                                   int8_t *y, int32_t *scratch) {
  ec_mve_slide_of(1, x, stream, shape, y, scratch);
}

#endif
