"""The report of a compression: one HTML page with nothing outside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from edgecomp.commands.compress import Compressed
from edgecomp.graph.palette import palette_of, weights_of
from edgecomp.graph.qdq import quantized_source
from edgecomp.graph.summary import summarize
from edgecomp.graph.values import constant_of
from edgecomp.model import Model
from edgecomp.passes.prune_weights import MATRIX_OPS
from edgecomp.recipe import recipe_text
from edgecomp.written import write_whole

BAR, HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT, BINS = 300, 260, 40, 52
"""Pixels of the longest bar and of a histogram, and how many bins it has."""


@dataclass(frozen=True)
class LayerBar:
    """Multiply-accumulates of a layer as it came and of what became of it."""

    name: str
    before: int
    after: int
    before_width: int
    after_width: int


@dataclass(frozen=True)
class WeightsRow:
    """The weights of a node: a histogram as points of a line, and a few words."""

    name: str
    shape: str
    range: str
    zeros: str
    points: str


def write_page(result: Compressed, before: Model, after: Model, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        EdgecompError: the file cannot be written.
    """
    template = files("edgecomp.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    text = environment.from_string(template).render(
        name=before.name,
        headline=_headline(result),
        device=None if result.device is None else result.device.name,
        tested=result.steps[0].accuracy is not None,
        steps=result.steps,
        layers=list(_layers(before, after)),
        histograms=list(_weights(after)),
        recipe=recipe_text([step.spec for step in result.steps[1:]]),
    )
    write_whole(path, text.encode(), "report")


def _headline(result: Compressed) -> str:
    before, after = result.before, result.after
    parts = [
        f"{before.params / max(after.params, 1):.1f}x fewer parameters",
        f"{before.macs / max(after.macs, 1):.1f}x fewer multiply-accumulates",
        f"{before.bytes / max(after.bytes, 1):.1f}x fewer bytes",
    ]
    first, last = result.steps[0].accuracy, result.steps[-1].accuracy
    if first is not None and last is not None:
        parts.append(f"accuracy {first:.2%} to {last:.2%}")
    return ", ".join(parts) + "."


def _layers(before: Model, after: Model) -> Iterator[LayerBar]:
    left: dict[str, int] = {}
    for node in summarize(after).nodes:
        left[node.name.rpartition("/")[0]] = left.get(node.name.rpartition("/")[0], 0) + node.macs
        left[node.name] = left.get(node.name, 0) + node.macs
    costly = [node for node in summarize(before).nodes if node.macs]
    most = max((node.macs for node in costly), default=1)
    for node in costly:
        now = left.get(node.name, 0)
        yield LayerBar(
            node.name, node.macs, now, round(BAR * node.macs / most), round(BAR * now / most)
        )


def _weights(model: Model) -> Iterator[WeightsRow]:
    for node in model.graph.graph:
        if node.op_type not in MATRIX_OPS:
            continue
        value = quantized_source(node.inputs[1]) or node.inputs[1]
        palette = palette_of(value)
        content = constant_of(value) if palette is None else weights_of(*palette)
        if content is None:
            continue
        numbers = content.astype(np.float64).ravel()
        counts, _ = np.histogram(numbers, BINS)
        heights = np.sqrt(counts / max(counts.max(), 1)) * HISTOGRAM_HEIGHT
        places = np.linspace(1, HISTOGRAM_WIDTH - 1, BINS)
        pairs = zip(places, HISTOGRAM_HEIGHT + 1 - heights, strict=True)
        yield WeightsRow(
            str(node.name),
            f"{content.dtype} {' x '.join(map(str, content.shape))}",
            f"{numbers.min():.4g} to {numbers.max():.4g}",
            f"{np.mean(numbers == 0):.0%} zeros",
            " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs),
        )
