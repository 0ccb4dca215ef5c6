"""Layers of a model before and after a compression: bars of costs, histograms of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.macs import macs_of
from edgecomp.graph.palette import is_palette, palette_of, weights_of
from edgecomp.graph.qdq import is_dequantize, quantized_source
from edgecomp.graph.values import bytes_of, constant_of, is_constant
from edgecomp.model import Model
from edgecomp.passes.prune_weights import MATRIX_OPS

BAR, HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT, BINS = 200, 260, 40, 52
"""Pixels of the longest bar and of a histogram, and how many bins it has."""


@dataclass(frozen=True)
class Bar:
    """A cost of a layer as it came and of what became of it, and how wide the bars are."""

    before: int
    after: int
    before_width: int
    after_width: int


@dataclass(frozen=True)
class LayerRow:
    """A layer: its multiply-accumulates, and the bytes of its constants."""

    name: str
    macs: Bar
    bytes: Bar


@dataclass(frozen=True)
class WeightsRow:
    """The weights of a node: a histogram as points of a line, and a few words."""

    name: str
    shape: str
    low: str
    high: str
    about: str
    points: str


def layer_rows(before: Model, after: Model) -> list[LayerRow]:
    """Every layer of `before` with weights; one that became several counts them together."""
    names = [str(node.name) for node in before.graph.graph if macs_of(node)]
    macs = _sums(before, after, names, {str(n.name): macs_of(n) for n in after.graph.graph})
    sizes = _sums(before, after, names, {str(n.name): _bytes(n) for n in after.graph.graph})
    old_macs = {str(node.name): macs_of(node) for node in before.graph.graph}
    old_sizes = {str(node.name): _bytes(node) for node in before.graph.graph}
    most = max((old_macs[name] for name in names), default=0)
    largest = max((old_sizes[name] for name in names), default=0)
    return [
        LayerRow(
            name,
            _bar(old_macs[name], macs.get(name, 0), most),
            _bar(old_sizes[name], sizes.get(name, 0), largest),
        )
        for name in names
    ]


def _sums(
    before: Model, after: Model, names: list[str], counts: Mapping[str, int]
) -> dict[str, int]:
    """Counts of what became of each of `names`: the node itself, and those named below it."""
    had = {str(node.name) for node in before.graph.graph}
    found: dict[str, int] = {}
    for name, count in counts.items():
        owner = name if name in had else name.rpartition("/")[0]
        found[owner] = found.get(owner, 0) + count
    return {name: found.get(name, 0) for name in names}


def _bar(before: int, after: int, most: int) -> Bar:
    scale = BAR / max(most, 1)
    return Bar(before, after, round(before * scale), min(round(after * scale), BAR))


def _bytes(node: ir.Node) -> int:
    """Bytes of the constants a node reads, those of scales and tables included."""
    total = 0
    for value in node.inputs:
        if value is None:
            continue
        producer = value.producer()
        if producer is not None and (is_dequantize(producer) or is_palette(producer)):
            total += _bytes(producer)
        elif is_constant(value):
            total += bytes_of(value)
    return total


def weights_rows(model: Model) -> Iterator[WeightsRow]:
    """The weights of every layer, integers as they are stored."""
    for node in model.graph.graph:
        if node.op_type not in MATRIX_OPS or node.domain != "":
            continue
        value = quantized_source(node.inputs[1]) or node.inputs[1]
        palette = palette_of(value)
        content = constant_of(value) if palette is None else weights_of(*palette)
        if content is None or value is None:
            continue
        numbers = content.astype(np.float64).ravel()
        about = [f"{np.mean(numbers == 0):.0%} zeros"]
        if palette is not None:
            about.append(f"palettes of {palette[1].shape[-1]}")
        yield WeightsRow(
            str(node.name),
            f"{value.dtype.name.lower() if value.dtype else ''} "
            f"{' x '.join(map(str, content.shape))}",
            f"{numbers.min():.3g}",
            f"{numbers.max():.3g}",
            ", ".join(about),
            _histogram(numbers),
        )


def _histogram(numbers: npt.NDArray[np.float64]) -> str:
    """The outline of square roots of counts: rare, large weights stay visible."""
    counts, _ = np.histogram(numbers, BINS)
    heights = np.sqrt(counts / max(counts.max(), 1)) * HISTOGRAM_HEIGHT
    places = np.linspace(0, HISTOGRAM_WIDTH, BINS + 1)
    corners = [(0.0, 0.0)]
    for left, right, height in zip(places[:-1], places[1:], heights, strict=True):
        corners += [(left, height), (right, height)]
    corners.append((float(HISTOGRAM_WIDTH), 0.0))
    return " ".join(f"{x:.1f},{HISTOGRAM_HEIGHT + 1 - y:.1f}" for x, y in corners)
