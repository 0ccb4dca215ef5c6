"""The compression benchmark in short: the demo's digits, small after each way of compressing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecomp.demo import INPUT_NAME, load_split, model_path
from edgecomp.importers import load
from tests.benchmarks.compression import HEADING, line
from tests.benchmarks.compression_cases import CASES
from tests.benchmarks.compression_data import Arrays, Sets, kept
from tests.benchmarks.compression_measure import Row, measure

RECOVER = "distill:epochs=15,lr=0.005,shift=1,threads=1"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """The demo's model and images."""
    train, test = (Arrays(part[INPUT_NAME], part["labels"]) for part in load_split())
    few = Arrays(train.inputs[:100], train.labels[:100])
    return kept(load(model_path()), (few, train, test), tmp_path_factory.mktemp("digits"))


def smaller(row: Row, params: float, bytes: float, instructions: float, flash: float) -> bool:
    """Whether the shares of `row` are at most these."""
    found = (row.params, row.bytes, row.instructions, row.flash)
    return all(a <= b for a, b in zip(found, (params, bytes, instructions, flash), strict=True))


def test_pruned_recovered_and_quantized(digits: Sets, tmp_path: Path) -> None:
    prune = "prune:macs=0.45,criterion=taylor,scope=layer,multiple=4"
    row = measure("digits", (prune, RECOVER, "quantize"), digits, tmp_path)
    assert row.macs <= 0.3
    assert smaller(row, params=0.3, bytes=0.13, instructions=0.5, flash=0.7)
    assert row.after >= row.before - 0.06


def test_low_rank(digits: Sets, tmp_path: Path) -> None:
    row = measure("digits", ("lowrank:params=0.8", "quantize"), digits, tmp_path)
    assert smaller(row, params=0.8, bytes=0.32, instructions=1.0, flash=1.0)
    assert row.after >= row.before - 0.02


def test_palettes(digits: Sets, tmp_path: Path) -> None:
    row = measure("digits", ("cluster:bits=4,per=channel", "quantize"), digits, tmp_path)
    assert row.macs == 1.0
    assert smaller(row, params=1.01, bytes=0.3, instructions=1.01, flash=1.01)
    assert row.after >= row.before - 0.01


def test_four_bits(digits: Sets, tmp_path: Path) -> None:
    row = measure("digits", ("quantize:weights=int4,rounding=reconstruct",), digits, tmp_path)
    assert row.macs == 1.0
    assert smaller(row, params=1.01, bytes=0.24, instructions=1.1, flash=1.0)
    assert row.after >= row.before - 0.02


def test_a_line_has_a_cell_for_every_heading() -> None:
    row = Row(next(iter(CASES)), 0.9, 0.8, None, 1.0, 0.5, 0.25, 0.5, 0.75, 3.2)
    assert line(row).count("|") == len(HEADING) + 1
    assert "| 4.0x | 50.0% | 75.0% | 3 |" in line(row)
