"""Which node a quantization hurts most, and what would help: found by trying it."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.options import format_value
from edgecomp.passes.quantize import Quantize
from edgecomp.quantization_noise import ModelNoise, ValueNoise, model_noise

CHANGES: Mapping[str, tuple[Any, ...]] = {
    "estimator": ("mse", "percentile", "minmax", "entropy"),
    "per_channel": (True,),
    "bias_correction": (True,),
    "equalize": (True,),
    "smooth": (0.5,),
    "rounding": ("reconstruct",),
    "weights": ("int8",),
    "activations": ("int16",),
}
"""Options tried and their values, from what costs nothing in the program to what costs most."""

ENOUGH_DB, SOME_DB = 6.0, 1.0
"""A change that helps so much is taken before dearer ones; one that helps less is not named."""

WIDE_SPREAD = 8.0
"""From so many times the median channel's range on, it is worth a word."""


@dataclass(frozen=True)
class Trial:
    """One change of the options and what the model is with it.

    Attributes:
        change: as the command line takes it.
        output_db: signal to noise ratio of the first output; None where it was refused.
        refused: why the pass does not take it, or None.
    """

    change: str
    output_db: float | None
    refused: str | None = None


@dataclass(frozen=True)
class Finding:
    """A value that quantization hurts, and what would help.

    Attributes:
        value: how noisy it is.
        change: options of the pass that help, or None where nothing tried does.
        local_db: of the value with that change; None where it is not quantized then.
        output_db: of the model with it; None without a change.
        output_db_before: of the model as it is.
    """

    value: ValueNoise
    change: str | None
    local_db: float | None
    output_db: float | None
    output_db_before: float

    @property
    def sentence(self) -> str:
        """The same for people."""
        kind = "node" if self.value.node else "input"
        text = f"{kind} {self.value.label!r}: {self.value.local_db:.1f} dB"
        if self.value.spread >= WIDE_SPREAD:
            text += f", its widest channel's range is {self.value.spread:.0f}x the median's"
        if self.change is None or self.output_db is None:
            return f"{text}; nothing tried helps"
        own = "keeps it in float" if self.local_db is None else f"raises it to {self.local_db:.1f}"
        return (
            f"{text}; {self.change} {own}, "
            f"the output from {self.output_db_before:.1f} to {self.output_db:.1f} dB"
        )


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        spec: the pass.
        noise: of every value.
        findings: the values hurt most, the worst first.
        trials: everything tried.
    """

    spec: str
    noise: ModelNoise
    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values; each finding has its sentence."""
        findings = [{**asdict(each), "sentence": each.sentence} for each in self.findings]
        return {**asdict(self), "findings": findings}


def diagnose(
    model: Model, quantize: Quantize, context: Context, worst: int = 3, samples: int = 32
) -> Diagnosis:
    """Quantize `model` and find the `worst` values; try what may help these.

    Args:
        model: a float model.
        quantize: how it is quantized.
        context: `data` is needed.
        worst: how many values are looked at closely.
        samples: samples used at most, to calibrate and to compare.

    Raises:
        EdgecompError: the model or the data cannot be used.
    """
    quick = replace(quantize, samples=min(quantize.samples, samples))
    before = _noise(model, quick, context, samples)
    hurt = sorted(before.values, key=lambda value: value.local_db)[:worst]
    changed = [*_changed(quick), *(_spared(quick, value) for value in hurt if value.node)]
    tried: dict[str, ModelNoise] = {}
    trials = []
    with context.progress.task("try changes", total=len(changed)) as step:
        for name, each in changed:
            try:
                tried[name] = _noise(model, each, context, samples)
                trials.append(Trial(name, tried[name].output_db))
            except EdgecompError as error:
                trials.append(Trial(name, None, str(error.reasons[0])))
            step()
    findings = tuple(_finding(value, before, tried) for value in hurt)
    return Diagnosis(str(quantize), before, findings, tuple(trials))


def noise_of_run(
    passes: Sequence[Pass], models: Sequence[Model], context: Context, samples: int = 32
) -> ModelNoise | None:
    """The noise that a run's quantization left in its last model; None where it has none.

    Args:
        passes: what was applied.
        models: the model as it came, and after each pass.
        context: what the passes used.
        samples: calibration samples compared at most.
    """
    for each, before in zip(passes, models, strict=False):
        if isinstance(each, Quantize) and each.makes_integers:
            data = context.need_data(each.name)
            return model_noise(each.prepared(before, context), models[-1], data, samples)
    return None


def _noise(model: Model, quantize: Quantize, context: Context, samples: int) -> ModelNoise:
    """Of `model` quantized, held against the float model whose values it rounds."""
    data = context.need_data(quantize.name)
    return model_noise(
        quantize.prepared(model, context), quantize.apply(model, context), data, samples
    )


def _changed(quantize: Quantize) -> Iterator[tuple[str, Quantize]]:
    """The pass with one option changed, by the change, the cheapest first."""
    for option, values in CHANGES.items():
        for value in values:
            if getattr(quantize, option) == value:
                continue
            each: Any = {option: value}
            try:
                yield f"{option}={format_value(value)}", replace(quantize, **each)
            except EdgecompError:  # does not go together with the other options
                continue


def _spared(quantize: Quantize, value: ValueNoise) -> tuple[str, Quantize]:
    exclude = (*quantize.exclude, glob.escape(value.node))
    return _exclude(value), replace(quantize, exclude=exclude)


def _exclude(value: ValueNoise) -> str:
    return f"exclude={format_value(glob.escape(value.node))}"


def _finding(value: ValueNoise, before: ModelNoise, tried: Mapping[str, ModelNoise]) -> Finding:
    change = _best(value, before, tried)
    if change is None:
        return Finding(value, None, None, None, before.output_db)
    after = tried[change]
    return Finding(value, change, after.local(value.value), after.output_db, before.output_db)


def _best(value: ValueNoise, before: ModelNoise, tried: Mapping[str, ModelNoise]) -> str | None:
    """The cheapest change that helps the value enough and does not harm the model; or the best."""
    spared = _exclude(value)
    helping = {
        change: gain
        for change, noise in tried.items()
        if (local := noise.local(value.value)) is not None
        and not change.startswith("exclude=")
        and (gain := local - value.local_db) >= SOME_DB
        and noise.output_db > before.output_db - SOME_DB
    }
    enough = [change for change, gain in helping.items() if gain >= ENOUGH_DB]
    if enough:
        return enough[0]
    if spared in tried and tried[spared].output_db >= before.output_db + ENOUGH_DB:
        return spared
    if helping:
        return max(helping, key=lambda change: helping[change])
    return spared if spared in tried and tried[spared].output_db > before.output_db else None
