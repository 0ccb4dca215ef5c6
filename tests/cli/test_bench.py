"""`edgecomp bench` of several artifacts in turn, and beside other runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Edgecomp = Callable[..., Any]
REPEATS = ("--repeat", 5, "--warmup", 1)


def test_several_artifacts_are_compared_with_the_first(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    plain = edgecomp("compile", demo / "digits.onnx", "--device", "host", "-o", "float.edge")
    assert plain.code == 0
    files = (demo / "digits-host.edge", "float.edge")
    first, second = edgecomp("bench", *files, *REPEATS, "--json").json
    assert first["ratio_to_first"] is None
    ratio = second["ratio_to_first"]
    assert ratio["kind"] == "measured"
    assert ratio["least"] <= ratio["low"] <= ratio["median"] <= ratio["high"] <= ratio["most"]
    turns = np.asarray(second["samples_s"]) / np.asarray(first["samples_s"])
    assert ratio["median"] == pytest.approx(np.median(turns))
    assert "95 %" in edgecomp("bench", *files, *REPEATS).out


def test_counts_on_one_device_are_compared_exactly(edgecomp: Edgecomp, demo: Path) -> None:
    artifact = demo / "digits-nucleo_l4r5zi.edge"
    _, same = edgecomp("bench", artifact, artifact, "--json").json
    assert (same["ratio_to_first"]["kind"], same["ratio_to_first"]["median"]) == ("exact", 1)
    _, other = edgecomp("bench", artifact, demo / "digits-raspberrypi_4b.edge", "--json").json
    assert other["ratio_to_first"] is None, "instructions of two devices are not the same"


def test_a_baseline_takes_turns(edgecomp: Edgecomp, demo: Path) -> None:
    against = ("--baseline", "onnxruntime", "--model", demo / "digits_int8.onnx")
    answer = edgecomp("bench", demo / "digits-host.edge", *against, *REPEATS, "--json").json
    assert answer["baseline"]["name"] == "onnxruntime"
    assert len(answer["baseline"]["samples_s"]) == len(answer["samples_s"]) == 5
    turns = np.asarray(answer["samples_s"]) / np.asarray(answer["baseline"]["samples_s"])
    assert answer["ratio_to_baseline"]["median"] == pytest.approx(np.median(turns))
    out = edgecomp("bench", demo / "digits-host.edge", *against, *REPEATS).out
    assert "of onnxruntime" in out


def test_tflite_is_a_baseline_of_tflite_files(edgecomp: Edgecomp, demo: Path, shared: Path) -> None:
    model = shared / "models" / "ad01_int8.tflite"
    against = ("--baseline", "tflite", "--model", model)
    answer = edgecomp("bench", demo / "digits-host.edge", *against, *REPEATS, "--json").json
    assert answer["baseline"]["name"] == "tflite"
    wrong = ("--baseline", "tflite", "--model", demo / "digits.onnx")
    (sentence,) = edgecomp("bench", demo / "digits-host.edge", *wrong).sentences
    assert "tflite-runtime runs .tflite files only; choose --baseline onnxruntime" in sentence


def test_a_baseline_needs_a_model_and_this_machine(edgecomp: Edgecomp, demo: Path) -> None:
    artifact = demo / "digits-host.edge"
    (sentence,) = edgecomp("bench", artifact, "--baseline", "onnxruntime").sentences
    assert sentence.endswith("name the model with --model")
    model = ("--baseline", "onnxruntime", "--model", demo / "digits_int8.onnx")
    (sentence,) = edgecomp("bench", artifact, *model, "--on", "ssh://nobody@nowhere").sentences
    assert "a baseline is timed on this machine" in sentence
