/* What compilers spell differently: C99 and C++, with or without the extensions of GCC and clang. */
#ifndef EDGECOMP_COMPILER_H
#define EDGECOMP_COMPILER_H

/* A program need not call all that its headers define. */
#if defined(__GNUC__)
#define EC_STATIC static __attribute__((unused))
#define EC_INLINE static inline __attribute__((always_inline, unused))
#define EC_NOINLINE static __attribute__((noinline, unused))
#else
#define EC_STATIC static
#define EC_INLINE static inline
#define EC_NOINLINE static
#endif

/* A kernel stays a function of its own, so that a profile can name it. */
#ifndef EC_KERNEL
#define EC_KERNEL EC_NOINLINE
#endif

/* What the file offers to its users. */
#ifndef EC_EXPORT
#define EC_EXPORT
#endif

#if !defined(__cplusplus)
#define EC_RESTRICT restrict
#elif defined(__GNUC__) || defined(_MSC_VER)
#define EC_RESTRICT __restrict
#else
#define EC_RESTRICT
#endif

/* Where constants lie: what stands before their definition, as in
 * -DEDGECOMP_WEIGHTS_SECTION='__attribute__((section(".qspi")))'. */
#ifndef EDGECOMP_WEIGHTS_SECTION
#define EDGECOMP_WEIGHTS_SECTION
#endif
#if defined(__GNUC__)
#define EC_WEIGHTS EDGECOMP_WEIGHTS_SECTION __attribute__((aligned(16)))
#else
#define EC_WEIGHTS EDGECOMP_WEIGHTS_SECTION
#endif

/* A fused multiply-add rounds once where two operations round twice: results would depend on the core. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#endif
