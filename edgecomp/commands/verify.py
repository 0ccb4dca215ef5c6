"""`edgecomp verify`: how far an artifact is from the model it was compiled from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.commands.evaluate import spread
from edgecomp.commands.model_file import ModelFile
from edgecomp.errors import Reason, raise_if_any
from edgecomp.model import Model
from edgecomp.progress import Progress
from edgecomp.reference import stream_reference
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.data import Samples, from_program, is_raw, read_samples, to_program
from edgecomp_runtime.manifest import Manifest, TensorSpec
from edgecomp_runtime.preprocess import Preprocess
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class OutputVerdict:
    """One output, over all samples.

    Attributes:
        name: the output.
        exact: whether every value is the model's: the same integer, or the same float.
        max_abs_error: the largest difference of real values.
        max_steps: that in steps of the output's scale; None for a float output.
        sqnr_db: power of the model's values over that of the differences, in decibels; None when
            nothing differs or the model gives only zeros.
        top1_agreement: share of the samples whose highest score has the same place; None where
            the output is no row of scores.
    """

    name: str
    exact: bool
    max_abs_error: float
    max_steps: int | None
    sqnr_db: float | None
    top1_agreement: float | None


@dataclass(frozen=True)
class Verified:
    """The comparison.

    Attributes:
        samples: how many were compared.
        outputs: a verdict on each output.
    """

    samples: int
    outputs: tuple[OutputVerdict, ...]

    def to_json(self) -> dict[str, Any]:
        """The contract's keys, of all outputs or the first that has one, and each output's own."""
        ratios = [v.sqnr_db for v in self.outputs if v.sqnr_db is not None]
        agreements = [v.top1_agreement for v in self.outputs if v.top1_agreement is not None]
        return {
            "exact": all(verdict.exact for verdict in self.outputs),
            "samples": self.samples,
            "max_abs_error": max(verdict.max_abs_error for verdict in self.outputs),
            "sqnr_db": min(ratios, default=None),
            "top1_agreement": min(agreements, default=None),
            "first_divergence": None,
            "outputs": [asdict(verdict) for verdict in self.outputs],
        }


@dataclass
class _Tally:
    """What is known of one output so far."""

    spec: TensorSpec
    exact: bool = True
    max_abs_error: float = 0.0
    max_steps: int = 0
    signal: float = 0.0
    noise: float = 0.0
    agreements: list[bool] = field(default_factory=list)

    def add(self, raw: Array, expected: Array) -> None:
        """Compare the program's own values with the model's real ones."""
        wanted = to_program(expected, self.spec)
        self.exact = self.exact and bool(
            np.array_equal(raw, wanted, equal_nan=raw.dtype.kind == "f")
        )
        got = from_program(raw, self.spec).astype(np.float64)
        real = np.asarray(expected, np.float64)
        error = np.abs(got - real)
        self.max_abs_error = max(self.max_abs_error, float(error.max(initial=0)))
        if self.spec.scale is not None:
            steps = np.abs(raw.astype(np.int64) - wanted.astype(np.int64))
            self.max_steps = max(self.max_steps, int(steps.max(initial=0)))
        self.signal += float((real**2).sum())
        self.noise += float((error**2).sum())
        if real.size > 1 and max(real.shape) == real.size:
            self.agreements.append(bool(got.argmax() == real.argmax()))

    def verdict(self) -> OutputVerdict:
        """The verdict on all that was added."""
        ratio = self.signal / self.noise if self.noise else 0.0
        return OutputVerdict(
            name=self.spec.name,
            exact=self.exact,
            max_abs_error=self.max_abs_error,
            max_steps=None if self.spec.scale is None else self.max_steps,
            sqnr_db=10 * math.log10(ratio) if ratio > 0 else None,
            top1_agreement=float(np.mean(self.agreements)) if self.agreements else None,
        )


def verify_file(
    artifact: Path, model: ModelFile, data: Path, limit: int | None, progress: Progress
) -> Verified:
    """Compare an artifact with a model, sample by sample.

    Args:
        artifact: the artifact, run by the engine that fits.
        model: the model, float or quantized, run by onnxruntime. Without preprocessing of its
            own it gets the artifact's.
        data: the samples.
        limit: compare at most so many, evenly spread over the file.
        progress: who is told how far it is.

    Raises:
        EdgecompError, ArtifactError, InputError: all that keeps them from being compared.
    """
    opened = open_artifact(artifact)
    manifest = opened.manifest
    given = model.parsed_preprocess()
    reference = model.load()
    _check_same_signature(artifact, manifest, reference)
    if given is None and manifest.preprocess is not None:
        given = Preprocess.parse(manifest.preprocess)
    samples = spread(read_samples(data, manifest.inputs, given), limit)
    expected = stream_reference(reference, _model_inputs(samples, manifest.inputs, reference))
    tallies = [_Tally(spec) for spec in manifest.outputs]
    with Session(opened) as session, progress.task("verify", samples.count) as step:
        for sample, wanted in zip(samples, expected, strict=True):
            raw = session.engine.run(session.prepare(sample)[0])
            for tally, array, real in zip(tallies, raw, wanted, strict=True):
                tally.add(array, real)
            step()
    return Verified(samples.count, tuple(tally.verdict() for tally in tallies))


def _model_inputs(samples: Samples, specs: Sequence[TensorSpec], model: Model) -> list[Array]:
    """The samples as the model takes them: real values, in its layout and element type."""
    arrays = []
    for array, spec, wanted in zip(samples.arrays, specs, model.inputs, strict=True):
        real = from_program(array, spec) if is_raw(array, spec) else array
        if spec.layout == "nhwc" and wanted.layout != "nhwc":  # compiled with --input-layout
            real = np.moveaxis(real, -1, -3)
        arrays.append(to_program(real, wanted))
    return arrays


def _check_same_signature(artifact: Path, manifest: Manifest, model: Model) -> None:
    """Make sure that the artifact can have been compiled from the model."""
    reasons = []
    for kind, specs, wanted in (
        ("inputs", manifest.inputs, model.inputs),
        ("outputs", manifest.outputs, model.outputs),
    ):
        if [_fingerprint(spec) for spec in specs] != [_fingerprint(spec) for spec in wanted]:
            reasons.append(
                Reason(
                    f"its {kind} are {_listed(specs)}, and those of {model.name} {_listed(wanted)}",
                    str(artifact),
                    "name the model it was compiled from, with the same --shape and --bind",
                )
            )
    raise_if_any(reasons)


def _fingerprint(spec: TensorSpec) -> tuple[str, tuple[int, ...]]:
    """What layout and quantization leave as it is."""
    return spec.name, tuple(sorted(spec.shape))


def _listed(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
