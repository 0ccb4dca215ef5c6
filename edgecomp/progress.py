"""How long work reports how far it is, without knowing who is watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

Step = Callable[[], None]
"""Called once for each unit of work done."""


class Progress(Protocol):
    """Someone who watches long work; the command line supplies one that draws bars."""

    def task(self, description: str, total: int) -> AbstractContextManager[Step]:
        """Begin a task of `total` units; call what it gives after each of them."""
        ...


@dataclass(frozen=True)
class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Step]:
        """Begin a task; its steps do nothing."""
        yield lambda: None


SILENT: Progress = Silent()
