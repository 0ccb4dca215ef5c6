/* Weights that are stored in fewer bytes, made as the kernel of their layer wants them.
 *
 * Palettes: an index of some bits for each weight, and tables of int8. The order of the weights is that of
 * `weight_order.py`: blocks of parts; a part is words that are no weights, then groups of a run for each lane.
 * Zeros: a bit for each byte, the first in the lowest bit, and the bytes that do not stand for 0; their number
 * and the byte that stands for 0 are the shape.
 *
 * `pairs`: the bytes are those of 16-bit numbers 256 * b + a, where a negative a takes one from the high byte.
 */
#ifndef EDGECOMP_UNPACK_H
#define EDGECOMP_UNPACK_H

#include "edgecomp_dsp.h"

/* As `weight_codes.py` writes it; the parts follow, each with its words and groups, then all words. */
typedef struct {
  int32_t blocks, lanes, run; /* a run is so many times eight weights */
  int32_t lane_tables;        /* bytes from a lane's table to the next one's; 0: all have one */
  int32_t odd_table;          /* bytes from the table of a pair's first to that of its second */
  int32_t parts;
} ec_unpack_shape;

EC_INLINE uint32_t ec_unpack_two(int32_t first, int32_t second, int pairs) {
  const uint32_t low = pairs ? (uint32_t)first : (uint32_t)first & 0xFFu;
  return (((uint32_t)second << 8) + low) & 0xFFFFu;
}

/* Index i of eight, of which `low` has the first 32 bits and `high` the last. */
#define EC_UNPACK_INDEX(i)                                                                  \
  ((bits * (i) + bits <= 32 ? low >> (bits * (i)) : high >> (bits * (i) - 8 * (bits - 4))) & \
   ((1u << bits) - 1u))
#define EC_UNPACK_TWO(i) \
  ec_unpack_two(table[EC_UNPACK_INDEX(i)], odd[EC_UNPACK_INDEX((i) + 1)], pairs)

/* A run of weights; gives the codes after them. */
EC_INLINE const uint8_t *ec_unpack_run(const uint8_t *codes, const int8_t *table,
                                       const ec_unpack_shape *s, int8_t *to, int32_t bits,
                                       int pairs) {
  const int8_t *const odd = table + (pairs ? s->odd_table : 0);
  EC_ROLLED for (int32_t left = s->run; left > 0; --left, codes += bits, to += 8) {
    const uint32_t low = ec_load_word((const int8_t *)codes);
    const uint32_t high = bits > 4 ? ec_load_word((const int8_t *)codes + bits - 4) : 0;
    (void)high;
    ec_store_word(to, EC_UNPACK_TWO(0) | EC_UNPACK_TWO(2) << 16);
    ec_store_word(to + 4, EC_UNPACK_TWO(4) | EC_UNPACK_TWO(6) << 16);
  }
  return codes;
}

/* Where a palette's weights are being unpacked. */
typedef struct {
  const int32_t *words;
  int8_t *to;
} ec_unpack_place;

/* The words before the groups of a part. */
EC_INLINE void ec_unpack_words(ec_unpack_place *place, int32_t count) {
  EC_ROLLED for (; count > 0; --count, place->to += 4) {
    ec_store_word(place->to, (uint32_t)*place->words++);
  }
}

/* A function for a width of an index, by `run_of`: what unpacks a run. */
#define EC_UNPACK_FUNCTION(name, run_of, bits, pairs)                                            \
  EC_NOINLINE void name(const uint8_t *codes, const int8_t *tables, const int32_t *shape,        \
                        void *out) {                                                             \
    const ec_unpack_shape *const s = (const ec_unpack_shape *)(const void *)shape;               \
    const int32_t *const parts = shape + sizeof(ec_unpack_shape) / sizeof(int32_t);              \
    ec_unpack_place place = {parts + 2 * s->parts, (int8_t *)out};                               \
    for (int32_t block = s->blocks; block > 0; --block, tables += s->lanes * s->lane_tables) {   \
      for (const int32_t *part = parts; part < parts + 2 * s->parts; part += 2) {                \
        ec_unpack_words(&place, part[0]);                                                        \
        for (int32_t group = part[1]; group > 0; --group) {                                      \
          const int8_t *table = tables;                                                          \
          for (int32_t lane = s->lanes; lane > 0; --lane, table += s->lane_tables) {             \
            codes = run_of(codes, table, s, place.to, bits, pairs);                              \
            place.to += 8 * s->run;                                                              \
          }                                                                                      \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
  }

EC_UNPACK_FUNCTION(ec_unpack_bytes_1, ec_unpack_run, 1, 0)
EC_UNPACK_FUNCTION(ec_unpack_bytes_2, ec_unpack_run, 2, 0)
EC_UNPACK_FUNCTION(ec_unpack_bytes_3, ec_unpack_run, 3, 0)
EC_UNPACK_FUNCTION(ec_unpack_bytes_4, ec_unpack_run, 4, 0)
EC_UNPACK_FUNCTION(ec_unpack_bytes_5, ec_unpack_run, 5, 0)
EC_UNPACK_FUNCTION(ec_unpack_bytes_6, ec_unpack_run, 6, 0)
EC_UNPACK_FUNCTION(ec_unpack_pairs_1, ec_unpack_run, 1, 1)
EC_UNPACK_FUNCTION(ec_unpack_pairs_2, ec_unpack_run, 2, 1)
EC_UNPACK_FUNCTION(ec_unpack_pairs_3, ec_unpack_run, 3, 1)
EC_UNPACK_FUNCTION(ec_unpack_pairs_4, ec_unpack_run, 4, 1)
EC_UNPACK_FUNCTION(ec_unpack_pairs_5, ec_unpack_run, 5, 1)
EC_UNPACK_FUNCTION(ec_unpack_pairs_6, ec_unpack_run, 6, 1)

/* A weight that is not 0, at place `k`; those before it are there, the others still 0. */
EC_INLINE void ec_unpack_byte(int8_t *to, uint32_t k, int32_t value, int pairs) {
  if (pairs && !(k & 1)) to[k + 1] = (int8_t)(value < 0 ? -1 : 0);
  to[k] = (int8_t)(pairs ? to[k] + value : value);
}

EC_INLINE void ec_unpack_sparse(const uint32_t *mask, const int8_t *values, const int32_t *shape,
                                void *out, int pairs) {
  int8_t *to = (int8_t *)out;
  int8_t *const end = to + shape[0];
  ec_fill(to, (int)shape[1], (size_t)shape[0]);
  for (; to < end; to += 32) {
    uint32_t kept = *mask++;
#if defined(__GNUC__) && !defined(__ARM_ARCH_6M__)
    EC_ROLLED for (; kept; kept &= kept - 1) {
      ec_unpack_byte(to, (uint32_t)__builtin_ctz(kept), *values++, pairs);
    }
#else
    EC_ROLLED for (uint32_t k = 0; kept; ++k, kept >>= 1) {
      if (kept & 1) ec_unpack_byte(to, k, *values++, pairs);
    }
#endif
  }
}

EC_NOINLINE void ec_unpack_sparse_bytes(const uint32_t *mask, const int8_t *values,
                                        const int32_t *shape, void *out) {
  ec_unpack_sparse(mask, values, shape, out, 0);
}

EC_NOINLINE void ec_unpack_sparse_pairs(const uint32_t *mask, const int8_t *values,
                                        const int32_t *shape, void *out) {
  ec_unpack_sparse(mask, values, shape, out, 1);
}

#endif
