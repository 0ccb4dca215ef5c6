"""The report of a compression: one HTML page with nothing outside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from edgecomp.commands.compress import Compressed, Step
from edgecomp.device import Device
from edgecomp.model import Model
from edgecomp.quantization_noise import ModelNoise
from edgecomp.recipe import recipe_text
from edgecomp.report.chart import STYLE, draw
from edgecomp.report.diagnoses import noise_table
from edgecomp.report.page_layers import layer_rows, weights_rows
from edgecomp.report.sensitivity_charts import sensitivity_charts
from edgecomp.report.units import bytes_text, count_text, small_text
from edgecomp.sensitivity import Sensitivity
from edgecomp.written import write_whole
from edgecomp_runtime.energy import modelled_energy, modelled_latency


@dataclass(frozen=True)
class Figure:
    """One line of the comparison: a quantity before and after, and what changed."""

    name: str
    before: str
    after: str
    change: str


def write_page(
    result: Compressed,
    before: Model,
    after: Model,
    sensitivities: Sequence[Sensitivity],
    noise: ModelNoise | None,
    path: Path,
) -> None:
    """Write the page, whole or not at all.

    Raises:
        EdgecompError: the file cannot be written.
    """
    template = files("edgecomp.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    device = result.device
    text = environment.from_string(template).render(
        name=before.name,
        style=STYLE,
        device=device,
        figures=list(_figures(result)),
        tested=result.steps[0].accuracy is not None,
        steps=[_step(step, device) for step in result.steps],
        layers=layer_rows(before, after),
        left=result.left_by_reason,
        charts=[draw(chart) for chart in sensitivity_charts(sensitivities)],
        noise=None if noise is None else noise_table(noise),
        output_db=None if noise is None else f"{noise.output_db:.1f} dB",
        histograms=list(weights_rows(after)),
        recipe=recipe_text([step.spec for step in result.steps[1:]]),
    )
    write_whole(path, text.encode(), "report")


def _figures(result: Compressed) -> Iterator[Figure]:
    """What people ask first: how good, how large, how fast."""
    old, new = result.steps[0], result.steps[-1]
    if old.accuracy is not None and new.accuracy is not None:
        points = 100 * (new.accuracy - old.accuracy)
        change = f"{points:+.2f} points"
        yield Figure("accuracy", f"{old.accuracy:.2%}", f"{new.accuracy:.2%}", change)
    for name, text in (
        ("bytes", bytes_text),
        ("params", count_text),
        ("macs", count_text),
        ("instructions", count_text),
    ):
        first, last = getattr(old.statistics, name), getattr(new.statistics, name)
        if first is not None and last is not None:
            yield Figure(_NAMES[name], text(first), text(last), _times(first, last))
    if result.device is not None:
        yield from _estimates(old, new, result.device)


_NAMES = {
    "bytes": "constants",
    "params": "parameters",
    "macs": "multiply-accumulates",
    "instructions": "instructions, modelled",
}


def _estimates(old: Step, new: Step, device: Device) -> Iterator[Figure]:
    """Latency and energy of both ends."""
    (first, first_energy), (last, last_energy) = _estimate(old, device), _estimate(new, device)
    if first is None or last is None:
        return
    change = _times(first, last)
    yield Figure("latency, modelled", small_text(first, "s"), small_text(last, "s"), change)
    if first_energy is not None and last_energy is not None:
        change = _times(first_energy, last_energy)
        energies = small_text(first_energy, "J"), small_text(last_energy, "J")
        yield Figure("energy, modelled", energies[0], energies[1], change)


def _estimate(step: Step, device: Device) -> tuple[float | None, float | None]:
    """Seconds and joules of an inference on `device`, modelled."""
    instructions = step.statistics.instructions
    if instructions is None:
        return None, None
    profile = device.to_json()
    seconds = modelled_latency(profile, instructions)
    return seconds, modelled_energy(profile, seconds).joules


def _times(before: float, after: float) -> str:
    if after <= 0:
        return "all gone"
    ratio = before / after
    if 0.995 < ratio < 1.005:
        return "the same"
    return f"{ratio:.2f}x less" if ratio > 1 else f"{1 / ratio:.2f}x more"


def _step(step: Step, device: Device | None) -> dict[str, Any]:
    """A row of the table of passes."""
    seconds = None if device is None else _estimate(step, device)[0]
    return {
        "brief": step.brief or "as it came",
        "params": count_text(step.statistics.params),
        "macs": count_text(step.statistics.macs),
        "bytes": bytes_text(step.statistics.bytes),
        "latency": small_text(seconds, "s"),
        "accuracy": "" if step.accuracy is None else f"{step.accuracy:.2%}",
    }
