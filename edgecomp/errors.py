"""What a user is told when the input cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """One thing that is wrong.

    Attributes:
        what: what is wrong, a clause without a full stop.
        where: the name in the user's file (node, tensor, option, path); empty if there is none.
        fix: what to do about it, an imperative clause; empty if nothing can be done.
        details: lines that follow the sentence: a table, where one number is made of many.
    """

    what: str
    where: str = ""
    fix: str = ""
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.what}" if self.where else self.what
        sentence = f"{sentence}; {self.fix}" if self.fix else sentence
        return "\n".join((sentence, *self.details))


class EdgecompError(Exception):
    """The user's input cannot be used; carries every reason found, not only the first.

    Args:
        reasons: one or more reasons, or a single sentence.
    """

    def __init__(self, reasons: Sequence[Reason] | Reason | str) -> None:
        if isinstance(reasons, str):
            reasons = Reason(reasons)
        self.reasons: tuple[Reason, ...] = (
            (reasons,) if isinstance(reasons, Reason) else tuple(reasons)
        )
        super().__init__("\n".join(str(reason) for reason in self.reasons))


def raise_if_any(reasons: Sequence[Reason]) -> None:
    """Raise `EdgecompError` with all `reasons` when there is at least one."""
    if reasons:
        raise EdgecompError(reasons)
