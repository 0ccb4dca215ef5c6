"""A sample of the ONNX project's own backend node tests, through the whole line.

All of them: `python tests/benchmarks/onnx_backend.py`, whose results are committed beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

EVERY = 16
"""One test of so many is in the sample."""


REWRITTEN = (
    "lstm",
    "gru",
    "simple_rnn",
    "rnn_seq",
    "top_k",
    "qlinear",
    "integer",
    "reversesequence",
    "dft",
    "stft",
)
"""Parts of the names of tests of operators that the importer writes in other operators."""


@pytest.fixture(scope="module")
def benchmark_script(root: Path) -> Iterator[ModuleType]:
    """The script that runs all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tests" / "benchmarks"))
        yield import_module("onnx_backend")


def test_a_sample_gives_what_the_committed_results_say(benchmark_script: ModuleType) -> None:
    recorded = json.loads(benchmark_script.RESULTS.read_text())
    sample = benchmark_script.load_cases()[::EVERY]

    results = benchmark_script.run_apart(sample)

    wrong = [f"{r.name}: {r.detail}" for r in results if r.status == "FAILED"]
    assert not wrong
    refused = {r.name: r.detail for r in results if r.status == "refused"}
    assert not {n: d for n, d in refused.items() if n not in recorded["not_passed"]}


def test_operators_that_the_importer_rewrites(benchmark_script: ModuleType) -> None:
    cases = [
        case
        for case in benchmark_script.load_cases()
        if not case.outside and any(part in case.name for part in REWRITTEN)
    ]

    results = benchmark_script.run_apart(cases)

    bfloat16 = [result.name for result in results if "bfloat16" in result.name]
    passed = [result.name for result in results if result.status == "passed"]
    assert sorted([*passed, *bfloat16]) == sorted(case.name for case in cases)


def test_the_committed_results_have_no_wrong_answer(benchmark_script: ModuleType) -> None:
    recorded = json.loads(benchmark_script.RESULTS.read_text())
    counts = recorded["counts"]["inference on floats and integers"]

    assert "FAILED" not in counts
    assert counts["passed"] >= 0.8 * sum(counts.values())
