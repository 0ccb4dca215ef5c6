/*
 * float32 mathematics whose results have the same bits on every target.
 *
 * Freestanding C99: needs <stdint.h> only, no libc, no errno, no global state. Every function is built
 * from +, -, *, / and integer operations alone, which IEEE 754 defines to the bit, in an order that is
 * part of the definition. Compile without -ffast-math; edgecomp_compiler.h forbids contraction on clang and
 * GCC whatever the command line says, other compilers need to be told. Which NaN is returned is not defined.
 *
 * Polynomials are minimax (Remez exchange on the relative error, coefficients rounded to float32
 * one after the other and the rest fitted again) on the interval named beside them.
 */
#ifndef EDGECOMP_MATH_H
#define EDGECOMP_MATH_H

#if defined(__FAST_MATH__)
#error "edgecomp_math.h: results would differ between targets; compile without -ffast-math"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "edgecomp_math.h: float must be evaluated as float; on x86-32 compile with -msse2 -mfpmath=sse"
#endif
#include "edgecomp_math_basic.h"
#include "edgecomp_math_double.h"
#include "edgecomp_math_exp.h"
#include "edgecomp_math_half.h"
#include "edgecomp_math_power.h"
#include "edgecomp_math_trig.h"

#endif
