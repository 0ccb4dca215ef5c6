"""Progress drawn as bars on a terminal, for work that takes longer than a second."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edgecomp.progress import Step

DELAY_SECONDS = 1.0
"""Shorter work shows nothing."""


class ProgressBars:
    """Someone who watches work and draws a bar for each task; see `edgecomp.progress.Progress`.

    A context manager: the bars are gone when it ends, so that results and errors stand alone.
    Where `console` is no terminal nothing is drawn.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._lock = threading.Lock()
        self._ended = False
        self._timer = threading.Timer(DELAY_SECONDS, self._show)
        self._timer.daemon = True
        self._can_draw = console.is_interactive

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Step]:
        """Begin a task of `total` units; see `Progress.task`."""
        task = self._bars.add_task(description, total=total)
        yield lambda: self._bars.advance(task)

    def __enter__(self) -> ProgressBars:
        if self._can_draw:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._bars.live.is_started:
                self._bars.stop()

    def _show(self) -> None:
        with self._lock:
            if not self._ended:
                self._bars.start()
