"""Instructions of networks and reference models: exact outputs, counts within 2 % of the committed.

A count that falls is good news: `python -m tests.benchmarks.cortex_m --update` notes the new one.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest

from tests.benchmarks.cortex_m import read_results
from tests.benchmarks.cortex_m_measure import MODELS, Row, Subject, generated, measure, reference
from tests.benchmarks.cortex_m_networks import NETWORKS

TOLERANCE = 1.02
ROWS = read_results()

# each is compiled for several cores
_generated = lru_cache(generated)
_reference = lru_cache(reference)


def _named(row: Row) -> str:
    return f"{row.model}-{row.core}-{row.optimize}"


def _check(subject: Subject, wanted: Row) -> None:
    row = measure(subject, wanted.core, wanted.optimize)
    assert row.exact
    assert wanted.instructions / TOLERANCE < row.instructions < wanted.instructions * TOLERANCE


def test_every_network_and_model_is_noted_for_every_core() -> None:
    noted = {(row.model, row.core) for row in ROWS}
    cores = {"M0+", "M3", "M4", "M7", "M33", "M55"}
    assert noted == {(model, core) for model in (*MODELS, *NETWORKS) for core in cores}
    assert all(row.exact for row in ROWS)


@pytest.mark.parametrize("wanted", [row for row in ROWS if row.model in NETWORKS], ids=_named)
def test_the_count_of_a_network_is_the_committed_one(wanted: Row) -> None:
    _check(_generated(wanted.model), wanted)


@pytest.mark.parametrize("wanted", [row for row in ROWS if row.model in MODELS], ids=_named)
def test_the_count_of_a_reference_model_is_the_committed_one(wanted: Row, shared: Path) -> None:
    _check(_reference(wanted.model, shared / "models"), wanted)
