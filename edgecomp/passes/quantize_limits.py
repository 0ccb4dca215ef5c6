"""What mixed precision is held against: bytes of constants, modelled time on a device."""

from __future__ import annotations

from collections.abc import Collection

from edgecomp.device import Device
from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.cost import CORES, model_cost
from edgecomp.graph.quantizable import WIDE
from edgecomp.graph.summary import summarize
from edgecomp.model import Model
from edgecomp.passes.quantize_calibrated import Calibrated
from edgecomp.passes.quantize_grids import Grids
from edgecomp.passes.quantize_mixed import Limit, Parts


def bytes_limit(most: float, eight: Model) -> Limit:
    """Of all constants; `most` up to 1 is a share of those of `eight`, the int8 model."""
    option = f"bytes={most:g}"
    if most <= 1.0:
        most *= summarize(eight).bytes
    return Limit(option, most, lambda model: float(summarize(model).bytes), "bytes")


def time_limit(most: float, device: Device | None, where: str) -> Limit:
    """Of one inference in milliseconds, modelled.

    Raises:
        EdgecompError: there is no device.
    """
    if device is None:
        reason = "the device is needed, whose time is modelled"
        raise EdgecompError(Reason(reason, where, "give --device NAME"))
    scale = 1e3 * device.timing.cycles_per_instruction.value / device.clock_hz.value
    core = CORES[device.core]
    return Limit(f"ms={most:g}", most, lambda model: scale * model_cost(model, core), "ms")


def wide_parts(
    made: Calibrated, grids: Grids, device: Device | None, limit: int
) -> tuple[frozenset[str], Parts]:
    """Groups of values that can be int16, and these as parts that int8 makes cheaper.

    A group saves what its nodes cost less on the device; without one, all groups save alike.

    Args:
        made: the calibrated model.
        grids: of its values.
        device: whose instructions are modelled, or None.
        limit: the largest integer of weights.
    """
    plan = grids.plan
    nodes = {str(node.name): node for node in made.model.graph.graph}
    bound = {g for name, g in plan.makes.items() if nodes[name].op_type not in WIDE}
    every = frozenset(plan.makes.values()) - bound

    def make(narrow: Collection[str]) -> Model:
        chosen = grids.with_wide(every - set(narrow))
        return made.written(chosen, made.rounded(chosen, limit))

    if device is None:
        return every, Parts(dict.fromkeys(sorted(every), 1.0), make)
    core = CORES[device.core]
    whole = model_cost(make([]), core)
    savings = {name: whole - model_cost(make([name]), core) for name in sorted(every)}
    return every, Parts(savings, make)
