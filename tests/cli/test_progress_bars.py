"""Bars appear on terminals, for work that takes a while, and are gone afterwards."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from edgecomp import progress_bars
from edgecomp.commands.counted import counted
from edgecomp.progress_bars import ProgressBars


def drawn(is_terminal: bool) -> str:
    """What three units of work draw, once the delay is over."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=80)
    with ProgressBars(console) as progress, progress.task("weigh [anchor]", 3) as step:
        step()
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()
        step()
        step()
    return stream.getvalue()


def test_short_work_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with (
        ProgressBars(Console(file=stream, force_terminal=True)) as progress,
        progress.task("blink", 1) as step,
    ):
        step()
    assert stream.getvalue() == ""


def test_long_work_draws_a_bar_and_removes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bars, "DELAY_SECONDS", 0.0)
    text = drawn(is_terminal=True)
    assert "weigh [anchor]" in text
    assert "3/3" in text
    assert text.endswith("\x1b[2K"), "the last thing done is to clear the line"


def test_nothing_is_drawn_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bars, "DELAY_SECONDS", 0.0)
    assert drawn(is_terminal=False) == ""


def test_what_the_runtime_tells_becomes_steps() -> None:
    stream = io.StringIO()
    with ProgressBars(Console(file=stream)) as progress, counted(progress, "run") as tell:
        for done in range(4):
            tell(done, 3)
    assert stream.getvalue() == ""
