"""`edgecomp diagnose`: the nodes a quantization hurts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Edgecomp = Callable[..., Any]


def test_values_findings_and_trials(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    call = (
        *("diagnose", demo / "digits.onnx", "-p", "prune:sparsity=0.25", "-p", "quantize"),
        *("--data", demo / "train.npz", "--worst", "1", "--samples", "8"),
    )
    found = edgecomp(*call, "--json").json
    assert found["spec"].startswith("quantize:")
    nodes = {row["node"] for row in found["noise"]["values"]}
    assert {"", "stem_relu", "dense"} <= nodes
    assert all(row["local_db"] > 15 for row in found["noise"]["values"])
    assert len(found["findings"]) == 1
    assert {"equalize=true", "activations=int16"} <= {row["change"] for row in found["trials"]}
    shown = edgecomp(*call)
    assert shown.code == 0
    assert found["findings"][0]["sentence"] in shown.out
    assert list(here.iterdir()) == []


def test_what_cannot_be_asked(edgecomp: Edgecomp, demo: Path) -> None:
    base = ("diagnose", demo / "digits.onnx")
    assert edgecomp(*base).sentences == [
        "quantize: calibration samples are needed; give --data FILE.npz"
    ]
    data = ("--data", demo / "train.npz")
    assert edgecomp(*base, *data, "-p", "cluster").sentences == [
        "cluster: only a quantization can be diagnosed; let -p quantize be the last pass"
    ]


def test_the_report_of_a_quantization_names_the_noisiest(
    edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    call = ("compress", demo / "digits.onnx", "--data", demo / "train.npz", "--report", "r.html")
    assert edgecomp(*call, "-p", "quantize:samples=8,equalize=true", "-o", "q.onnx").code == 0
    page = (here / "r.html").read_text()
    rows = page.split("Signal over noise of quantized values")[1].split("<h2>")[0].split("<tr>")
    levels = [float(row.split("<td>")[3].split()[0]) for row in rows[2:]]
    assert len(levels) > 5
    assert levels == sorted(levels)
    assert edgecomp(*call, "-p", "quantize:weights=fp16", "-o", "h.onnx").code == 0
    assert "Signal over noise" not in (here / "r.html").read_text()
