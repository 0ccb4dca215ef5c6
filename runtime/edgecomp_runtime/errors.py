"""What a user of the runtime is told: one sentence for each reason, all reasons at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar


class RuntimeInputError(ValueError):
    """Something given to the runtime cannot be used; the text is one sentence a line.

    Args:
        reasons: one sentence, or every sentence there is to say.

    Attributes:
        reasons: the sentences: what is wrong, where, and what to do about it.
    """

    def __init__(self, reasons: str | Sequence[str]) -> None:
        self.reasons: tuple[str, ...] = (reasons,) if isinstance(reasons, str) else tuple(reasons)
        super().__init__("\n".join(self.reasons))


class ArtifactError(RuntimeInputError):
    """The artifact is damaged, of another version, or not for this machine."""


class InputError(RuntimeInputError):
    """The data, the option or the place given by the user cannot be used."""


ErrorT = TypeVar("ErrorT", bound=RuntimeInputError)


def raise_if_any(error: type[ErrorT], reasons: Sequence[str]) -> None:
    """Raise `error` with all `reasons` when there is at least one."""
    if reasons:
        raise error(reasons)
