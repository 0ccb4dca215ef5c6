/* Depthwise convolution, eight channels at a time, one line of the output after the other.
 *
 * A line is a column or a row of the image, whichever `mve_depthwise.py` finds better. Each channel has a
 * plane in which element i of line l is at K * i + l, where a kernel reads K lines: the elements an output
 * reads follow each other, and a line takes the room of the one K before it, which no output reads any
 * more. With a 3x3 kernel one load serves two outputs; others have up to 32 taps.
 */
#ifndef EDGECOMP_MVE_DEPTHWISE_H
#define EDGECOMP_MVE_DEPTHWISE_H

#include "edgecomp_mve.h"

/* As `mve_depthwise.py` writes it. */
typedef struct {
  int32_t batch, channels;
  int32_t in_image, out_image;           /* bytes of one */
  int32_t in_lines, in_line, out_lines, out_line; /* lines of an image, from one to the next */
  int32_t in_step, out_step;             /* from one pixel of a line to the next */
  int32_t line_stride, stride;           /* of lines, and within a line */
  int32_t line_border;                   /* lines of border before the first */
  int32_t lead, body, tail;              /* pixels of a line of a plane: border, input, border */
  int32_t count;                         /* outputs of a line */
  int32_t plane;                         /* bytes of a plane */
  int32_t input_zero_point, zero_point;
  int32_t lines, taps;   /* of the kernel: lines, all taps */
  int32_t first_tap;     /* where a channel's taps begin, in its constants */
  int32_t channel_bytes; /* of its constants: bias, multiplier, shift, taps */
  int32_t form;          /* see below */
  ec_output_range range;
} ec_mve_depthwise_shape;

/* Forms of a line: a 3x3 kernel by steps of 1 or 2, outputs below the zero point being clamped to it or
 * not; and any kernel. The taps of 3x3 are read from their beginning, and three times the step before. */
enum {
  EC_MVE_ONES_CLAMPED = 1,
  EC_MVE_TWOS_CLAMPED = 2,
  EC_MVE_ONES = 3,
  EC_MVE_TWOS = 4,
  EC_MVE_ANY_KERNEL = 5
};

#if EC_MVE

/* What stays the same for the lines of eight channels. The assembly knows the offsets. */
typedef struct {
  int32_t next_plane, next_channel; /* from where a line ends to where the next channel's begins */
  int32_t groups;                   /* of eight outputs, but for the last */
  int32_t last;                     /* predicate: which outputs the last group has */
  const int8_t *end;                /* of the constants */
  int32_t group;                    /* from the outputs of a group to the next one's */
} ec_mve_line;

/* Which outputs of a group the lanes have. */
EC_INLINE uint16x8_t ec_mve_order(void) {
  const uint16x8_t order = {0, 1, 4, 5, 2, 3, 6, 7};
  return order;
}

/* Four outputs, 3x3, of a plane in the even registers, then in two vectors. */
#define EC_MVE_FOUR(bytes, lanes)                                 \
  "vldrb.u8 q0, [%[p]], #" #bytes "\n\tvmladav.s8 r0, q0, q3\n\t" \
  "vmladav.s8 r2, q0, q4\n\t"                                     \
  "vldrb.u8 q0, [%[p]], #" #bytes "\n\tvmladav.s8 r4, q0, q3\n\t" \
  "vmladav.s8 r6, q0, q4\n\t" lanes
#define EC_MVE_EVENS "vmov q1[2], q1[0], r0, r4\n\tvmov q2[2], q2[0], r2, r6\n\t"
#define EC_MVE_ODDS "vmov q1[3], q1[1], r0, r4\n\tvmov q2[3], q2[1], r2, r6\n\t"
#define EC_MVE_EIGHT(bytes) \
  EC_MVE_FOUR(bytes, EC_MVE_EVENS) EC_MVE_FOUR(bytes, EC_MVE_ODDS) EC_MVE_BIASED
/* The same of any kernel; `step` is from the elements of an output to the next one's. */
#define EC_MVE_OUTPUT(sum)                                      \
  "vldrb.u8 q0, [%[p]]\n\tvmladav.s8 " sum ", q0, q3\n\t"       \
  "vldrb.u8 q0, [%[p], #16]\n\tvmladava.s8 " sum ", q0, q4\n\t" \
  "add %[p], %[p], %[step]\n\t"
#define EC_MVE_ANY_FOUR(lanes) \
  EC_MVE_OUTPUT("r0") EC_MVE_OUTPUT("r2") EC_MVE_OUTPUT("r4") EC_MVE_OUTPUT("r6") lanes
#define EC_MVE_ANY_EIGHT EC_MVE_ANY_FOUR(EC_MVE_EVENS) EC_MVE_ANY_FOUR(EC_MVE_ODDS) EC_MVE_BIASED
#define EC_MVE_BIASED                              \
  "vadd.i32 q1, q1, r8\n\tvadd.i32 q2, q2, r8\n\t" \
  "vqrdmulh.s32 q1, q1, r10\n\tvqrdmulh.s32 q2, q2, r10\n\t"
/* VRSHL rounds ties upwards: one less for negative numbers, unless the shift is 0. */
#define EC_MVE_SIGN                                                     \
  "lsr r0, r12, #31\n\tvshr.s32 q0, q1, #31\n\tvmla.s32 q1, q0, r0\n\t" \
  "vshr.s32 q0, q2, #31\n\tvmla.s32 q2, q0, r0\n\t"
#define EC_MVE_STEPS                             \
  "vrshl.s32 q1, r12\n\tvrshl.s32 q2, r12\n\t"   \
  "vqmovnb.s32 q1, q1\n\tvqmovnt.s32 q1, q2\n\t" \
  "vqadd.s16 q1, q1, %q[zero]\n\tvqmovnb.s16 q1, q1\n\t"

/* How the taps are read: into a vector for each of two outputs, or for both halves of a kernel. */
#define EC_MVE_TWICE(lead) "vldrb.u8 q3, [%[c], #" #lead "]\n\tvldrb.u8 q4, [%[c]], #24\n\t"
#define EC_MVE_HALVES "vldrb.u8 q3, [%[c]], #16\n\tvldrb.u8 q4, [%[c]], #16\n\t"

/* On to the next group's outputs; the register is taken where a kernel is any. */
#define EC_MVE_GROUP "add %[y], %[y], %[step]\n\t"
#define EC_MVE_ANY_GROUP "ldr r0, [%[line], #20]\n\tadd %[y], %[y], r0\n\t"

/* One line of the channels up to `line->end`. */
#define EC_MVE_LINES(taps, outputs, group)                                                    \
  __asm__ volatile("ldr r0, [%[line], #12]\n\tvmsr p0, r0\n1:\n\t"                            \
                   "ldm %[c]!, {r8, r10, r12}\n\tldr r0, [%[line], #8]\n\t" taps              \
                   "wls lr, r0, 3f\n2:\n\t" outputs                                           \
                   "vstrb.16 q1, [%[y], %q[lanes]]\n\t" group                                 \
                   "le lr, 2b\n3:\n\t" outputs                                                \
                   "vpst\n\tvstrbt.16 q1, [%[y], %q[lanes]]\n\t"                              \
                   "ldrd r0, r2, [%[line]]\n\tldr r4, [%[line], #16]\n\t"                     \
                   "add %[p], %[p], r0\n\tadd %[y], %[y], r2\n\tcmp %[c], r4\n\tbne 1b"       \
                   : [p] "+r"(p), [c] "+r"(c), [y] "+r"(y)                                    \
                   : [line] "r"(line), [step] "r"(step), [lanes] "w"(lanes), [zero] "w"(zero) \
                   : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2",      \
                     "q3", "q4", "cc", "memory")

EC_INLINE ec_mve_line ec_mve_line_of(const ec_mve_depthwise_shape *s,
                                     const int8_t *end) {
  const int32_t groups = (s->count - 1) / 8, rest = s->count - 8 * groups;
  const ec_mve_line line = {s->plane - 8 * s->lines * s->stride * (groups + 1),
                            1 - 8 * s->out_step * groups,
                            groups,
                            vcmphiq_u16(vdupq_n_u16((uint16_t)rest), ec_mve_order()),
                            end,
                            8 * s->out_step};
  return line;
}

/* The outputs of one line, from the planes at `p`. */
EC_INLINE void ec_mve_depthwise_line(const ec_mve_depthwise_shape *s, const ec_mve_line *line,
                                     const int8_t *p, const int8_t *c, int8_t *y) {
  const int16x8_t zero = vdupq_n_s16((int16_t)s->zero_point);
  const uint16x8_t lanes = vmulq_n_u16(ec_mve_order(), (uint16_t)s->out_step);
  const int32_t step = s->form == EC_MVE_ANY_KERNEL ? s->lines * s->stride : line->group;
  switch (s->form) {
    case EC_MVE_ONES_CLAMPED:
      EC_MVE_LINES(EC_MVE_TWICE(3), EC_MVE_EIGHT(6) EC_MVE_STEPS, EC_MVE_GROUP);
      break;
    case EC_MVE_TWOS_CLAMPED:
      EC_MVE_LINES(EC_MVE_TWICE(6), EC_MVE_EIGHT(12) EC_MVE_STEPS, EC_MVE_GROUP);
      break;
    case EC_MVE_ONES:
      EC_MVE_LINES(EC_MVE_TWICE(3), EC_MVE_EIGHT(6) EC_MVE_SIGN EC_MVE_STEPS, EC_MVE_GROUP);
      break;
    case EC_MVE_TWOS:
      EC_MVE_LINES(EC_MVE_TWICE(6), EC_MVE_EIGHT(12) EC_MVE_SIGN EC_MVE_STEPS, EC_MVE_GROUP);
      break;
    default:
      EC_MVE_LINES(EC_MVE_HALVES, EC_MVE_ANY_EIGHT EC_MVE_SIGN EC_MVE_STEPS, EC_MVE_ANY_GROUP);
      break;
  }
}

/* Border, pixels two by two, a last one, border: each a pixel of eight planes. */
#define EC_MVE_SPREAD(load)                                                                           \
  __asm__ volatile("vmsr p0, %[inside]\n\twls lr, %[lead], 2f\n1:\n\t"                                \
                   "vstrb.16 %q[border], [%[to], %q[planes]]\n\tadd %[to], %[to], %[next]\n\t"        \
                   "le lr, 1b\n2:\n\twls lr, %[pairs], 4f\n3:\n\t"                                    \
                   load "add %[x], %[x], %[step]\n\tvstrb.16 q0, [%[to], %q[planes]]\n\t"             \
                   load "add %[x], %[x], %[step]\n\tvstrb.16 q0, [%[to], %q[after]]\n\t"              \
                   "add %[to], %[to], %[next], lsl #1\n\tle lr, 3b\n4:\n\twls lr, %[odd], 6f\n5:\n\t" \
                   load "vstrb.16 q0, [%[to], %q[planes]]\n\tadd %[to], %[to], %[next]\n\t"           \
                   "le lr, 5b\n6:\n\twls lr, %[tail], 8f\n7:\n\t"                                     \
                   "vstrb.16 %q[border], [%[to], %q[planes]]\n\tadd %[to], %[to], %[next]\n\t"        \
                   "le lr, 7b\n8:"                                                                    \
                   : [to] "+r"(to), [x] "+l"(x)                                                       \
                   : [step] "r"(s->in_step), [next] "r"(s->lines), [lead] "r"(lead),                  \
                     [pairs] "r"(body / 2),                                                           \
                     [odd] "r"(body % 2), [tail] "r"(tail), [inside] "r"(inside),                     \
                     [border] "w"(border), [planes] "w"(planes), [after] "w"(after)                   \
                   : "lr", "q0", "cc", "memory")

/* Line `number` of the input, counted from the first line of border, of `channels` channels. */
EC_INLINE void ec_mve_spread_line(const ec_mve_depthwise_shape *s, const int8_t *x, int32_t number,
                                  int32_t channels, int8_t *to) {
  const uint16x8_t plane = {0, 1, 2, 3, 4, 5, 6, 7};
  const uint16x8_t planes = vmulq_n_u16(plane, (uint16_t)s->plane);
  const uint16x8_t after = vaddq_n_u16(planes, (uint16_t)s->lines);
  const uint16x8_t border = vdupq_n_u16((uint16_t)s->input_zero_point);
  const int32_t inside = vctp16q((uint32_t)channels), line = number - s->line_border;
  int32_t lead = s->lead, body = s->body, tail = s->tail;
  to += number;
  if (line < 0 || line >= s->in_lines) {
    lead += body + tail;
    body = tail = 0;
  } else {
    x += line * s->in_line;
  }
  if (channels >= 8) {
    EC_MVE_SPREAD("vldrb.u16 q0, [%[x]]\n\t");
  } else {
    EC_MVE_SPREAD("vpst\n\tvldrbt.u16 q0, [%[x]]\n\t");
  }
}

#else

typedef const int8_t *ec_mve_line; /* the end of the constants */

EC_INLINE ec_mve_line ec_mve_line_of(const ec_mve_depthwise_shape *s, const int8_t *end) {
  (void)s;
  return end;
}

EC_INLINE void ec_mve_depthwise_line(const ec_mve_depthwise_shape *s, const ec_mve_line *line,
                                     const int8_t *p, const int8_t *c, int8_t *y) {
  for (; c != *line; c += s->channel_bytes, p += s->plane, ++y) {
    const int8_t *const taps = c + s->first_tap;
    for (int32_t i = 0; i < s->count; ++i) {
      const int8_t *const from = p + s->lines * s->stride * i;
      int32_t sum = ec_mve_word(c);
      for (int32_t tap = 0; tap < s->taps; ++tap) sum += from[tap] * taps[tap];
      y[i * s->out_step] =
          ec_mve_rescaled(sum, ec_mve_word(c + 4), ec_mve_word(c + 8), s->zero_point);
    }
  }
}

EC_INLINE void ec_mve_spread_line(const ec_mve_depthwise_shape *s, const int8_t *image,
                                  int32_t number, int32_t channels, int8_t *to) {
  const int32_t line = number - s->line_border, count = s->lead + s->body + s->tail;
  const int is_border = line < 0 || line >= s->in_lines;
  for (int32_t k = 0; k < channels; ++k) {
    int8_t *const at = to + number + k * s->plane;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t pixel = i - s->lead;
      const int outside = is_border || pixel < 0 || pixel >= s->body;
      at[s->lines * i] = outside ? (int8_t)s->input_zero_point
                          : image[line * s->in_line + pixel * s->in_step + k];
    }
  }
}

#endif

/* At most eight channels of an image. */
EC_NOINLINE void ec_mve_depthwise_image(const ec_mve_depthwise_shape *s, const int8_t *x,
                                        const int8_t *c, int32_t channels, int8_t *y,
                                        int8_t *planes) {
  const ec_mve_line line = ec_mve_line_of(s, c + channels * s->channel_bytes);
  int32_t number = 0;
  for (int32_t i = 0; i < s->out_lines; ++i, y += s->out_line) {
    for (; number < i * s->line_stride + s->lines; ++number) {
      ec_mve_spread_line(s, x, number, channels, planes);
    }
    ec_mve_depthwise_line(s, &line, planes + i * s->line_stride, c, y);
  }
}

/* NHWC. `constants` has those of each channel; `scratch` has the planes. */
EC_NOINLINE void ec_mve_depthwise(const int8_t *x, const int32_t *constants, const int32_t *shape,
                                  int8_t *y, int32_t *scratch) {
  const ec_mve_depthwise_shape *const s = (const ec_mve_depthwise_shape *)(const void *)shape;
  const int8_t *const c = (const int8_t *)(const void *)constants;
  int8_t *const planes = (int8_t *)(void *)scratch;
  for (int32_t n = 0; n < s->batch; ++n, x += s->in_image, y += s->out_image) {
    for (int32_t at = 0; at < s->channels; at += 8) {
      const int32_t left = s->channels - at;
      const int32_t channels = left < 8 ? left : 8;
      ec_mve_depthwise_image(s, x + at, c + at * s->channel_bytes, channels, y + at, planes);
    }
    if (s->range.narrow) ec_mve_narrow(y, s->out_image, &s->range);
  }
}

#endif
