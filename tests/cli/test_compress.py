"""`edgecomp compress`: recipes, reports, accuracy after each pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Edgecomp = Callable[..., Any]
PASSES = ("-p", "prune:macs=0.7,samples=20", "-p", "quantize:samples=16")


def test_accuracy_and_cost_after_each_pass(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    answer = edgecomp(
        *("compress", demo / "digits.onnx", *PASSES, "--data", demo / "train.npz"),
        *("--test", demo / "test.npz", "--device", "nucleo_l4r5zi", "-o", "small.onnx", "--json"),
    ).json
    steps = answer["steps"]
    assert [step["brief"] for step in steps] == ["", "prune:macs=0.7,samples=20",
                                                 "quantize:samples=16"]  # fmt: skip
    assert steps[0]["accuracy"] > 0.9
    assert all(0.0 <= step["accuracy"] <= 1.0 for step in steps)
    assert steps[1]["statistics"]["macs"] <= 0.7 * steps[0]["statistics"]["macs"]
    assert steps[1]["statistics"]["instructions"] < steps[0]["statistics"]["instructions"]


def test_a_recipe_repeats_a_run_bit_for_bit(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    common = ("compress", demo / "digits.onnx", "--data", demo / "train.npz")
    first = edgecomp(*common, *PASSES, "-o", "a.onnx", "--save-recipe", "r.toml")
    again = edgecomp(*common, "--recipe", "r.toml", "-o", "b.onnx")
    assert (first.code, again.code) == (0, 0)
    assert (here / "a.onnx").read_bytes() == (here / "b.onnx").read_bytes()


class Page(HTMLParser):
    """Collects the elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(v) for name, v in attrs if name in ("src", "href", "xlink:href")]


def test_the_report_stands_alone(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    common = ("compress", demo / "digits.onnx", "--data", demo / "train.npz", *PASSES)
    assert edgecomp(*common, "--test", demo / "test.npz", "--report", "r.html",
                    "-o", "small.onnx").code == 0  # fmt: skip
    text = (here / "r.html").read_text()
    page = Page(text)
    assert page.links == []
    assert {"table", "svg", "polyline", "pre"} <= set(page.tags)
    assert "prune:macs=0.7,samples=20" in text
    assert re.search(r"<td>accuracy</td><td>\d+\.\d+%</td><td>\d+\.\d+%</td>", text)
    assert "latency" not in text


def test_the_report_of_a_device_with_curves(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    """Estimates of latency and energy, and a chart of what was measured before."""
    common = ("--data", demo / "train.npz", "--device", "nucleo_l4r5zi")
    specs = ("-p", "prune:sparsity=0.25/0.5,samples=8")
    assert edgecomp(*("sensitivity", demo / "digits.onnx", *specs, *common),
                    *("--samples", "4", "-o", "s.json")).code == 0  # fmt: skip
    report = ("--report", "r.html", "--sensitivities", "s.json", "-o", "small.onnx")
    assert edgecomp("compress", demo / "digits.onnx", *PASSES, *common, *report).code == 0
    text = (here / "r.html").read_text()
    assert re.search(r"<td>latency, modelled</td><td>[\d.]+ m?s</td>", text)
    assert re.search(r"<td>energy, modelled</td><td>[\d.]+ .?J</td>", text)
    charts = re.findall(r'<svg class="chart" .*?</svg>', text)
    assert len(charts) == 3  # over sparsity, instructions and bytes
    assert all(ElementTree.fromstring(chart).find(".//polyline") is not None for chart in charts)
    assert Page(text).links == []


def test_layers_left_as_they_were(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    """Told on the terminal, in JSON and on the page."""
    call = ("compress", demo / "digits.onnx", "-p", "lowrank:energy=0.999,exclude=dense", "-o",
            "small.onnx", "--data", demo / "train.npz", "--report", "r.html")  # fmt: skip
    told = edgecomp(*call).out
    left = edgecomp(*call, "--json").json["left"]
    assert left["dense"] == "lowrank: excluded"
    assert "dense: lowrank: excluded" in told
    assert "Left as they were: dense (lowrank: excluded)." in (here / "r.html").read_text()


def test_sensitivities_that_do_not_fit(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    row = {"node": "elsewhere", "spec": "quantize"}
    (here / "s.json").write_text(json.dumps({"key": row}))
    call = ("compress", demo / "digits.onnx", "-p", "cluster", "-o", "small.onnx")
    curves = ("--sensitivities", "s.json")
    told = [
        edgecomp(*call, *curves).sentences[0],
        edgecomp(*call, *curves, "--report", "r.html").sentences[0],
        edgecomp(*call, "--sensitivities", "absent", "--report", "r.html").sentences[0],
    ]
    assert told == [
        "s.json: sensitivities are for a report; give --report",
        "s.json: the model has no layer 'elsewhere'; name a file on this model",
        "absent: there is no such file; write it with `edgecomp sensitivity -o`",
    ]
    assert sorted(path.name for path in here.iterdir()) == ["s.json"]


def test_nothing_to_do(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    answer = edgecomp("compress", demo / "digits.onnx", "-o", "small.onnx")
    assert answer.code == 1
    assert answer.sentences == ["no pass was named; give -p PASS or --recipe R.toml"]
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("missing", ["--train", "--test", "--data"])
def test_data_that_is_not_there(edgecomp: Edgecomp, demo: Path, here: Path, missing: str) -> None:
    answer = edgecomp(
        *("compress", demo / "digits.onnx", "-p", "finetune:epochs=1" if missing == "--train"
          else "quantize"), *(missing, "absent.npz"), "-o", "small.onnx"
    )  # fmt: skip
    assert answer.code == 1
    assert any("absent.npz" in sentence for sentence in answer.sentences)
    assert list(here.iterdir()) == []
