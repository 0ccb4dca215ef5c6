"""What a pass is: a frozen dataclass whose fields are its options, from one model to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from edgecomp.errors import Reason, raise_if_any
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.passes.options import check_values, format_changed, format_options, parse_options


@dataclass(frozen=True)
class Pass(ABC):
    """One compression pass.

    A subclass is a frozen dataclass: each field, made by `options.option`, is an option of the
    command line. `str(pass)` is the spec that recreates it, every option named, so that a recorded
    history stays true when a default changes.

    Attributes:
        name: what the user calls it.
        summary: one line for people.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def __post_init__(self) -> None:
        raise_if_any([*check_values(self, self.name), *self.conflicts()])

    def conflicts(self) -> Iterator[Reason]:
        """Reasons why these options, each fine by itself, do not go together; none by default."""
        return iter(())

    @abstractmethod
    def apply(self, model: Model, context: Context) -> Model:
        """The compressed model; `model` stays as it is.

        Args:
            model: an imported model, or what another pass made of it.
            context: what the user gave beside the model, and who is told how far it is.

        Raises:
            EdgecompError: the model, the context or the options cannot be used.
        """

    @classmethod
    def parse(cls, options: str = "") -> Self:
        """The pass with the options of `name=value,name=value`, the others at their defaults.

        Raises:
            EdgecompError: with a reason for every option that is unknown or out of bounds.
        """
        values, reasons = parse_options(cls, options, cls.name)
        raise_if_any(reasons)
        return cls(**values)

    @property
    def brief(self) -> str:
        """The spec without the options that have their defaults, for people to read."""
        options = format_changed(self)
        return f"{self.name}:{options}" if options else self.name

    def __str__(self) -> str:
        options = format_options(self)
        return f"{self.name}:{options}" if options else self.name
