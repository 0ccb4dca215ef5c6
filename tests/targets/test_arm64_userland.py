"""The AArch64 userland the target tests run programs in."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

FACTS = """
import json, platform, sys, numpy
from edgecomp_runtime.host import cpu_features, host_isa
print(json.dumps([platform.machine(), numpy.__version__, host_isa(), sorted(cpu_features())]))
"""


@pytest.mark.parametrize(("cpu", "dot_products"), [("cortex-a72", False), ("cortex-a76", True)])
def test_python_with_numpy_runs_on_an_emulated_processor(
    arm64: Any, cpu: str, dot_products: bool
) -> None:
    done = arm64.python("-c", FACTS, cpu=cpu)
    assert done.returncode == 0, done.stderr
    machine, version, isa, features = json.loads(done.stdout)
    assert (machine, version, isa) == ("aarch64", np.__version__, "aarch64")
    assert ("asimddp" in features) == dot_products
