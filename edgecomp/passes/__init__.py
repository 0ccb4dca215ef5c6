"""Compression passes: ONNX in, ONNX out.

A new pass is its file, its test and one line of `PASSES`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.passes.base import Pass
from edgecomp.passes.cluster import Cluster
from edgecomp.passes.distill import Distill
from edgecomp.passes.finetune import Finetune
from edgecomp.passes.lowrank import LowRank
from edgecomp.passes.options import Option, options_of
from edgecomp.passes.prune import Prune
from edgecomp.passes.qat import Qat
from edgecomp.passes.quantize import Quantize

PASSES: Mapping[str, type[Pass]] = {
    "cluster": Cluster,
    "lowrank": LowRank,
    "prune": Prune,
    "quantize": Quantize,
    "finetune": Finetune,
    "distill": Distill,
    "qat": Qat,
}


@dataclass(frozen=True)
class PassDescription:
    """What `edgecomp passes` says of a pass."""

    name: str
    summary: str
    options: tuple[Option, ...]


def describe() -> tuple[PassDescription, ...]:
    """Every pass with its options, in the order of the table."""
    return tuple(PassDescription(n, cls.summary, options_of(cls)) for n, cls in PASSES.items())


def parse_passes(specs: Sequence[str]) -> tuple[Pass, ...]:
    """The passes of several specs, in their order.

    Raises:
        EdgecompError: with the reasons of all specs that cannot be used.
    """
    parsed: list[Pass] = []
    reasons: list[Reason] = []
    for spec in specs:
        try:
            parsed.append(parse_pass(spec))
        except EdgecompError as error:
            reasons.extend(error.reasons)
    raise_if_any(reasons)
    return tuple(parsed)


def parse_pass(spec: str) -> Pass:
    """The pass of a spec such as `quantize:estimator=mse,percentile=99.99`.

    Raises:
        EdgecompError: no pass has that name, or options are wrong (a reason for each).
    """
    name, _, options = spec.partition(":")
    name = name.strip()
    if name not in PASSES:
        close = difflib.get_close_matches(name, PASSES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise EdgecompError(
            Reason(f"there is no pass {name!r}", fix=f"{hint}choose one of {', '.join(PASSES)}")
        )
    return PASSES[name].parse(options)
