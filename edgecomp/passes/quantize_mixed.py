"""Which parts of a model become cheaper numbers: until a limit is kept, or while quality allows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.passes.judge import Judge
from edgecomp.progress import Progress


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of a model, such as its layers, of which each can be made cheaper.

    Attributes:
        savings: what each saves, in any unit, by its name.
        make: the model with the parts of these names cheaper.
    """

    savings: Mapping[str, float]
    make: Callable[[Collection[str]], Model]

    def by_harm(self, judge: Judge, progress: Progress) -> list[str]:
        """Their names, those first that harm least for what they save.

        The harm is the noise that each alone makes.
        """
        harm = {}
        with progress.task("compare layers", total=len(self.savings)) as step:
            for name, saved in self.savings.items():
                harm[name] = judge.noise(self.make([name])) / max(saved, 1e-30)
                step()
        return sorted(harm, key=lambda name: (harm[name], name))


def within_quality(parts: Parts, judge: Judge, max_drop: float, progress: Progress) -> list[str]:
    """As many parts cheaper as possible, the quality at most `max_drop` less than with none.

    Their number is halved in: more of them are hardly ever better.
    """
    order = parts.by_harm(judge, progress)
    wanted = judge.quality(parts.make([])) - max_drop
    low, high = 0, len(order)  # `low` parts are known to be fine
    while low < high:
        middle = (low + high + 1) // 2
        good = judge.quality(parts.make(order[:middle])) >= wanted - 1e-12
        low, high = (middle, high) if good else (low, middle - 1)
    return order[:low]


@dataclass(frozen=True, eq=False)
class Limit:
    """What a model may cost.

    Attributes:
        option: what the user wrote, as in "bytes=40000".
        most: the figure.
        cost: of a model.
        unit: of the figure, as in "bytes".
    """

    option: str
    most: float
    cost: Callable[[Model], float]
    unit: str

    def holds(self, model: Model) -> bool:
        """Whether the model costs no more."""
        return self.cost(model) <= self.most


def within_limit(
    parts: Parts, judge: Judge, limit: Limit, where: str, progress: Progress
) -> list[str]:
    """The parts to make cheaper for `limit` to hold, with as little harm as may be.

    Args:
        parts: what can be cheaper.
        judge: says which of them harm.
        limit: what must hold.
        where: the pass's name.
        progress: who is told how far it is.

    Raises:
        EdgecompError: it does not hold with all of them cheaper.
    """
    if limit.holds(parts.make([])):
        return []
    if not limit.holds(cheapest := parts.make(list(parts.savings))):
        least = limit.cost(cheapest)
        raise EdgecompError(
            Reason(
                f"{limit.option} cannot be kept; the least possible is {least:,.6g} {limit.unit}",
                where,
                "allow as much, or prune the model before",
            )
        )
    order = parts.by_harm(judge, progress)
    low, high = 1, len(order)  # `high` parts are known to be enough
    while low < high:
        middle = (low + high) // 2
        enough = limit.holds(parts.make(order[:middle]))
        low, high = (low, middle) if enough else (middle + 1, high)
    chosen = order[:low]
    for name in list(chosen):  # the last was perhaps large enough to do without an earlier one
        fewer = [each for each in chosen if each != name]
        if limit.holds(parts.make(fewer)):
            chosen = fewer
    return chosen
