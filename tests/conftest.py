"""What tests of every area share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SHARED_ABSENT = "needs the models and data of ../shared, which is absent"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference models and data beside the project.

    Without it a test is skipped and counted in the summary; under CI=true it fails.
    """
    if SHARED.is_dir():
        return SHARED
    if os.environ.get("CI") == "true":
        pytest.fail(SHARED_ABSENT, pytrace=False)
    pytest.skip(SHARED_ABSENT)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last how many tests were skipped for want of ../shared."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(SHARED_ABSENT in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} tests skipped: each {SHARED_ABSENT}", yellow=True)
