/* What every generated file includes. */
#ifndef EDGECOMP_KERNEL_H
#define EDGECOMP_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edgecomp_compiler.h"
#include "edgecomp_divide.h"
#include "edgecomp_extreme.h"
#include "edgecomp_integer.h"
#include "edgecomp_log_softmax.h"
#include "edgecomp_lstm.h"
#include "edgecomp_lstm_hybrid.h"
#include "edgecomp_math.h"
#include "edgecomp_normalize.h"
#include "edgecomp_quantize.h"
#include "edgecomp_softmax.h"
#include "edgecomp_svdf.h"
#include "edgecomp_wide.h"

#endif
