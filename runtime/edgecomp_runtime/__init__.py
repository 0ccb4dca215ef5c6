"""Load, run and measure edgecomp artifacts: numpy and the standard library only."""
