"""`edgecomp run`, `verify`, `evaluate` and `bench` on what the demo compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Edgecomp = Callable[..., Any]
DEVICES = ("host", "raspberrypi_4b", "nucleo_l4r5zi")


@pytest.mark.parametrize("device", DEVICES)
def test_run_writes_outputs_by_position_and_by_name(
    edgecomp: Edgecomp, demo: Path, here: Path, device: str
) -> None:
    test = np.load(demo / "test.npz")
    np.savez("few.npz", image=test["image"][:5])
    artifact = demo / f"digits-{device}.edge"
    answer = edgecomp("run", artifact, "--input", "few.npz", "-o", "out.npz", "--json").json
    assert answer == {"samples": 5, "output": "out.npz"}
    outputs = np.load("out.npz")
    assert outputs["output_0"].shape == (5, 1, 10)
    assert outputs["output_0"].dtype == np.float32
    assert np.array_equal(outputs["output_0"], outputs["scores"])
    assert (outputs["scores"].argmax(-1).ravel() == test["labels"][:5]).mean() >= 0.8


def test_run_on_raw_integers_gives_raw_integers(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    np.savez("raw.npz", image=np.zeros((2, 1, 8, 8), np.int8))
    artifact = demo / "digits-host.edge"
    assert edgecomp("run", artifact, "--input", "raw.npz", "-o", "out.npz").code == 0
    assert np.load("out.npz")["scores"].dtype == np.int8


def test_verify_against_the_quantized_and_the_float_model(edgecomp: Edgecomp, demo: Path) -> None:
    artifact = demo / "digits-nucleo_l4r5zi.edge"
    common = ("verify", artifact, "--data", demo / "test.npz", "--samples", 50, "--json")
    close = edgecomp(*common, "--against", demo / "digits_int8.onnx").json
    keys = ("exact", "samples", "max_abs_error", "sqnr_db", "top1_agreement", "first_divergence")
    assert set(keys) <= set(close)
    assert close["samples"] == 50
    assert close["outputs"][0]["max_steps"] <= 3, "onnxruntime rounds each op by itself"
    assert close["top1_agreement"] == 1
    far = edgecomp(*common, "--against", demo / "digits.onnx").json
    assert not far["exact"]
    assert far["max_abs_error"] > 0
    assert 20 < far["sqnr_db"] <= close["sqnr_db"]


def test_verify_takes_raw_integers(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    test = np.load(demo / "test.npz")
    raw = np.rint(test["image"][:20] * 255 - 128).astype(np.int8)
    np.savez("raw.npz", image=raw)
    np.savez("real.npz", image=test["image"][:20])
    common = ("verify", demo / "digits-host.edge", "--against", demo / "digits_int8.onnx", "--json")
    assert edgecomp(*common, "--data", "raw.npz").json["top1_agreement"] == 1


def test_verify_for_people_is_a_table(edgecomp: Edgecomp, demo: Path) -> None:
    against = ("--against", demo / "digits_int8.onnx", "--data", demo / "test.npz")
    out = edgecomp("verify", demo / "digits-host.edge", *against, "--samples", 5).out
    assert "scores" in out
    assert "same top-1" in out


def test_evaluate_gives_models_and_artifacts_the_same_samples(
    edgecomp: Edgecomp, demo: Path
) -> None:
    data = ("--data", demo / "test.npz", "--json")
    files = ("digits.onnx", "digits_int8.onnx", "digits-host.edge")
    answers = [edgecomp("evaluate", demo / name, *data).json for name in files]
    assert [answer["samples"] for answer in answers] == [450] * 3
    assert min(answer["accuracy"] for answer in answers) > 0.97
    fewer = edgecomp("evaluate", demo / "digits-host.edge", *data, "--samples", 7).json
    assert fewer["samples"] == 7


def test_bench_of_an_emulated_program_counts_instructions_exactly(
    edgecomp: Edgecomp, demo: Path
) -> None:
    command = ("bench", demo / "digits-nucleo_l4r5zi.edge", "--json")
    first, second = edgecomp(*command).json, edgecomp(*command).json
    assert first["instructions"] == second["instructions"] > 129_856
    assert first["link"] == "unicorn:"
    assert set(first["latency_s"]) == {"p50", "p90", "p99"}
    assert (first["latency_kind"], first["energy_kind"]) == ("modelled", "modelled")
    assert first["energy_j"] > 0
    assert sum(op["instructions"] for op in first["per_op"]) <= first["instructions"]
    assert {"name", "instructions", "cycles", "latency_s"} <= set(first["per_op"][0])


def test_bench_of_several_artifacts_is_a_list(edgecomp: Edgecomp, demo: Path) -> None:
    files = [demo / "digits-host.edge", demo / "digits-raspberrypi_4b.edge"]
    repeats = ("--repeat", 3, "--warmup", 0)
    answers = edgecomp("bench", *files, *repeats, "--json").json
    assert [answer["device"] for answer in answers] == ["host", "raspberrypi_4b"]
    assert (answers[0]["latency_kind"], answers[0]["instructions"]) == ("measured", None)
    assert answers[0]["energy_kind"] in ("measured", "modelled")
    out = edgecomp("bench", *files, *repeats, "--input", demo / "test.npz").out
    assert "(measured)" in out
    assert "(exact)" in out
    assert "(modelled)" in out
