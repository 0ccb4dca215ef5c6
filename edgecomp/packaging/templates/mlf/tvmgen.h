/* @SYMBOL@ behind the C interface that microTVM's ahead-of-time executor has. */
#ifndef TVMGEN_@GUARD@_H
#define TVMGEN_@GUARD@_H

#include "@SYMBOL@.h"

#define TVMGEN_@GUARD@_GLOBAL_WORKSPACE_POOL_SIZE @SYMBOL@_ARENA_BYTES

struct tvmgen_@SYMBOL@_inputs {
@INPUTS@
};

struct tvmgen_@SYMBOL@_outputs {
@OUTPUTS@
};

/* The workspace lies at a multiple of @SYMBOL@_ARENA_ALIGNMENT, and so do inputs and outputs. */
struct tvmgen_@SYMBOL@_workspace_pools {
  void *global_workspace;
};

static inline int32_t tvmgen_@SYMBOL@_run(struct tvmgen_@SYMBOL@_inputs *inputs,
                                          struct tvmgen_@SYMBOL@_outputs *outputs,
                                          struct tvmgen_@SYMBOL@_workspace_pools *pools) {
  const @SYMBOL@_inputs given = {@GIVEN@};
  const @SYMBOL@_outputs taken = {@TAKEN@};
  @SYMBOL@_run(&given, &taken, pools->global_workspace);
  return 0;
}

#endif
