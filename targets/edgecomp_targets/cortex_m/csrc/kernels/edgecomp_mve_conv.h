/* Convolutions and dense layers by the products of `edgecomp_mve_matrix.h`. */
#ifndef EDGECOMP_MVE_CONV_H
#define EDGECOMP_MVE_CONV_H

#include "edgecomp_mve_matrix.h"
#include "edgecomp_mve_rows.h"

/* A patch: `count` times eight elements, where `taps` says how far each is from `source`. */
EC_INLINE void ec_mve_gather(int8_t *patch, const int8_t *source, const uint16_t *taps,
                             int32_t count) {
#if EC_MVE
  __asm__ volatile(
      "dls lr, %[count]\n"
      "1:\n\t"
      "vldrh.u16 q0, [%[taps]], #16\n\t"
      "vldrb.u16 q1, [%[source], q0]\n\t"
      "vstrb.16 q1, [%[patch]], #8\n\t"
      "le lr, 1b"
      : [patch] "+l"(patch), [taps] "+r"(taps)
      : [source] "r"(source), [count] "r"(count)
      : "lr", "q0", "q1", "cc", "memory");
#else
  for (int32_t i = 0; i < 8 * count; ++i) patch[i] = source[taps[i]];
#endif
}

/* Gathered patches wait for others, to be multiplied together. */
typedef struct {
  int8_t *patches;
  int32_t count;
  int8_t *y; /* of the first of them */
} ec_mve_waiting;

EC_INLINE void ec_mve_flush(int int4, const ec_mve_job *j, ec_mve_waiting *w) {
  ec_mve_pixels(int4, j, w->patches, w->count, w->y);
  w->y += w->count * j->filters;
  w->count = 0;
}

/* One row of pixels, the first patch of which is at `source`. */
EC_INLINE void ec_mve_gather_row_of(int int4, const ec_mve_job *j, const ec_mve_conv_shape *s,
                                    const int8_t *source, const uint16_t *taps,
                                    ec_mve_waiting *w) {
  const int32_t step = s->stride_width * s->channels, bytes = s->patch, groups = s->groups;
  for (int32_t left = s->out_width; left > 0;) {
    const int32_t room = s->patches - w->count, count = left < room ? left : room;
    int8_t *patch = w->patches + w->count * bytes;
    EC_ROLLED for (int32_t i = 0; i < count; ++i, patch += bytes, source += step) {
      ec_mve_gather(patch, source, taps, groups);
    }
    w->count += count;
    left -= count;
    if (w->count == s->patches) ec_mve_flush(int4, j, w);
  }
}

EC_NOINLINE void ec_mve_gather_row(const ec_mve_job *j, const ec_mve_conv_shape *s,
                                   const int8_t *source, const uint16_t *taps, ec_mve_waiting *w) {
  ec_mve_gather_row_of(0, j, s, source, taps, w);
}

EC_NOINLINE void ec_mve_gather_row_int4(const ec_mve_job *j, const ec_mve_conv_shape *s,
                                        const int8_t *source, const uint16_t *taps,
                                        ec_mve_waiting *w) {
  ec_mve_gather_row_of(1, j, s, source, taps, w);
}

/* NHWC convolution. `stream` is that of `edgecomp_mve_matrix.h`; `taps` is for patches that are gathered.
 * `scratch` has the patches, then the rows of a kernel with their border and the slack. */
EC_INLINE void ec_mve_conv_of(int int4, const int8_t *x, const int32_t *stream,
                              const uint16_t *taps, const int32_t *shape, int8_t *y,
                              int32_t *scratch) {
  const ec_mve_conv_shape *const s = (const ec_mve_conv_shape *)(const void *)shape;
  const int32_t pitch = (s->padded_width ? s->padded_width : s->width) * s->channels;
  const int32_t step = s->patch ? s->patch : s->stride_width * s->channels;
  const ec_mve_job job = {(const int8_t *)(const void *)stream, step, s->filters, s->zero_point,
                          s->form, s->vectors, s->multiplier, s->shift};
  ec_mve_waiting waiting = {(int8_t *)(void *)scratch, 0, y};
  int8_t *const rows = waiting.patches + s->patches * s->patch;
  int8_t *out = y;
  for (int32_t n = 0; n < s->batch; ++n, x += s->height * s->width * s->channels) {
    for (int32_t h = 0; h < s->out_height; ++h, out += s->out_width * s->filters) {
      const int32_t top = h * s->stride_height - s->pad_top;
      const int8_t *source = rows;
      if (s->padded_width) {
        ec_mve_pad_rows(x, rows, s, top);
      } else {
        source = x + top * pitch;
      }
      if (!s->patch) {
        ec_mve_pixels(int4, &job, source, s->out_width, out);
      } else if (int4) {
        ec_mve_gather_row_int4(&job, s, source, taps, &waiting);
      } else {
        ec_mve_gather_row(&job, s, source, taps, &waiting);
      }
    }
  }
  if (waiting.count) ec_mve_flush(int4, &job, &waiting);
  if (s->range.narrow) ec_mve_narrow(y, (int32_t)(out - y), &s->range);
}

EC_NOINLINE void ec_mve_conv(const int8_t *x, const int32_t *stream, const uint16_t *taps,
                             const int32_t *shape, int8_t *y, int32_t *scratch) {
  ec_mve_conv_of(0, x, stream, taps, shape, y, scratch);
}

EC_NOINLINE void ec_mve_conv_int4(const int8_t *x, const int32_t *stream, const uint16_t *taps,
                                  const int32_t *shape, int8_t *y, int32_t *scratch) {
  ec_mve_conv_of(1, x, stream, taps, shape, y, scratch);
}

#endif
