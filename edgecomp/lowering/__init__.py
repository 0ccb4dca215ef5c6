"""Lower a `Model` to a `Program` through TVM."""

from edgecomp.lowering.tvm_alone import import_tvm_alone

import_tvm_alone()
