"""`python -m edgecomp` is `edgecomp`."""

from __future__ import annotations

import runpy

runpy.run_module("edgecomp.cli", run_name="__main__", alter_sys=True)
