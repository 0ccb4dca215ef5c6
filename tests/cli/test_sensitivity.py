"""`edgecomp sensitivity`: which layers a pass hurts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Edgecomp = Callable[..., Any]


def test_every_layer_and_pass(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    call = (
        *("sensitivity", demo / "digits.onnx", "-p", "quantize:samples=8,weights=int4"),
        *("-p", "cluster:bits=2", "--data", demo / "train.npz", "--test", demo / "test.npz"),
        *("--device", "nucleo_l4r5zi", "--samples", "16", "-o", "s.json", "--json"),
    )
    rows = edgecomp(*call).json["rows"]
    layers = list(dict.fromkeys(row["node"] for row in rows))
    assert len(rows) == 2 * len(layers) > 4
    assert all(row["refused"] is None for row in rows)
    assert all(row["sqnr_db"] > 0 and row["accuracy"] > 0.3 for row in rows)
    assert all(row["saved_bytes"] > 0 for row in rows if row["spec"].startswith("quantize"))
    written = json.loads((here / "s.json").read_text())
    assert list(written.values()) == rows


def test_results_are_kept(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    call = ("sensitivity", demo / "digits.onnx", "-p", "prune:sparsity=0.25", "--samples", "4",
            "--data", demo / "train.npz", "-o", "s.json", "--json")  # fmt: skip
    first = edgecomp(*call).json["rows"]
    marked = json.loads((here / "s.json").read_text())
    for row in marked.values():
        row["sqnr_db"] = 12.5
    (here / "s.json").write_text(json.dumps(marked))
    again = edgecomp(*call).json["rows"]
    assert [row["sqnr_db"] for row in again] == [12.5] * len(first)


def test_people_see_the_worst_first(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    answer = edgecomp(
        *("sensitivity", demo / "digits.onnx", "-p", "cluster:bits=2", "--samples", "4"),
        *("--data", demo / "train.npz"),
    )
    assert answer.code == 0
    found = [float(word) for word in answer.out.split() if word.replace(".", "").isdigit()
             and "." in word]  # fmt: skip
    assert found
    assert list(here.iterdir()) == []


def test_a_plot_of_several_strengths(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    call = (
        *("sensitivity", demo / "digits.onnx", "-p", "cluster:bits=2/4", "--samples", "4"),
        *("--data", demo / "train.npz", "--test", demo / "test.npz", "--plot", "s.svg", "--json"),
    )
    rows = edgecomp(*call).json["rows"]
    assert {row["spec"].partition(",")[0] for row in rows} == {"cluster:bits=2", "cluster:bits=4"}
    root = ElementTree.fromstring((here / "s.svg").read_text())
    space = "{http://www.w3.org/2000/svg}"
    charts = root.findall(f"{space}svg")
    assert [chart.get("aria-label") for chart in charts] == [
        "cluster: accuracy against bits",
        "cluster: accuracy against bytes of constants saved",
    ]
    assert all(len(chart.findall(f".//{space}polyline")) == len(rows) / 2 for chart in charts)
    assert len(root.findall(f".//{space}g/{space}circle/{space}title")) == 2 * len(rows)


def test_what_cannot_be_asked(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    (here / "s.json").write_text("[1]")
    base = ("sensitivity", demo / "digits.onnx", "--data", demo / "train.npz")
    told = [
        edgecomp(*base).sentences,
        edgecomp(*base, "-p", "quantize", "-o", "s.json").sentences,
        edgecomp(*base, "-p", "finetune").sentences,
        edgecomp(*base, "-p", "quantize", "--plot", "s.png").sentences,
        edgecomp(*base, "-p", "cluster:bits=4/9").sentences,
    ]
    assert told[0] == ["no pass was named; give -p PASS or --recipe R.toml"]
    assert "holds no sensitivities; name another, or remove it" in told[1][0]
    assert "cannot be applied to one layer alone" in told[2][0]
    assert told[3] == ["s.png: the output is a .svg file; end it in .svg"]
    assert told[4][0].startswith("cluster: bits cannot be '9'")
