"""The scales of a quantization in int8 and in int16, and which of both each group of values has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from edgecomp.passes.quantize_observe import Observations
from edgecomp.passes.quantize_plan import Plan
from edgecomp.passes.ranges import ESTIMATORS, WIDE_UNIT, Affine, affine, wide_affine


@dataclass(frozen=True)
class Grids:
    """Scale and zero point of every group, by the name of its first value.

    A node computes in the type of what it makes; what it reads is brought to that type.

    Attributes:
        plan: what the groups are.
        int8, int16: the parameters in each type.
        wide: the groups that are int16.
    """

    plan: Plan
    int8: Mapping[str, Affine]
    int16: Mapping[str, Affine]
    wide: frozenset[str] = frozenset()
    group_of: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        groups = {name: group.values[0] for group in self.plan.groups for name in group.values}
        object.__setattr__(self, "group_of", groups)

    def with_wide(self, wide: Iterable[str]) -> Grids:
        """The same with `wide` groups in int16.

        A group that no integer node makes, as an input's, is int16 where such a node reads it.
        """
        chosen, made = frozenset(wide), set(self.plan.makes.values())
        read = {
            group
            for node, groups in self.plan.reads.items()
            for group in groups
            if self.plan.makes[node] in chosen
        }
        return replace(self, wide=chosen | (read - made))

    def own(self, group: str) -> Affine:
        """The parameters a group has."""
        return (self.int16 if group in self.wide else self.int8)[group]

    def read_by(self, node: str, value: str) -> Affine:
        """The parameters of `value` when `node`, an integer one, reads it."""
        kind = self.int16 if self.plan.makes[node] in self.wide else self.int8
        return kind[self.group_of[value]]


def grids_of(plan: Plan, seen: Observations, estimator: str, percentile: float) -> Grids:
    """All groups int8, with ranges by the `estimator`; int16 covers everything that was seen."""
    estimate = ESTIMATORS[estimator]
    narrow, wide = {}, {}
    for group in plan.groups:
        name = group.values[0]
        if group.fixed is not None:
            narrow[name], wide[name] = group.fixed, WIDE_UNIT
        else:
            narrow[name] = affine(estimate(seen.histograms[name], percentile))
            wide[name] = wide_affine(seen.histograms[name])
    return Grids(plan, narrow, wide)
