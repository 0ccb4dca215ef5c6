"""`edgecomp verify`: how far an artifact is from the model it was compiled from, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.commands.evaluate import spread
from edgecomp.commands.model_file import ModelFile
from edgecomp.commands.output_verdict import OutputVerdict, Tally
from edgecomp.divergence import RELATIVE, Divergence, first_divergence, values_of
from edgecomp.errors import Reason, raise_if_any
from edgecomp.model import Model
from edgecomp.original import Original, is_quantized, original_of
from edgecomp.progress import Progress
from edgecomp.trace import Tracer
from edgecomp_runtime.artifact import Artifact, open_artifact
from edgecomp_runtime.data import Samples, from_program, is_raw, read_samples, to_program
from edgecomp_runtime.manifest import Manifest, TensorSpec
from edgecomp_runtime.preprocess import Preprocess
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

TRACED = 8
"""Of the samples that differ, so many at most are followed operator by operator."""


@dataclass(frozen=True)
class Verified:
    """The comparison.

    Attributes:
        artifact, model: the files compared.
        samples: how many samples were compared.
        outputs: a verdict on each output.
        reference: what ran the model.
        bound: how close the program should be, in words; None where nothing can be asked.
        within: whether it is that close.
        note: what else there is to say, a clause each.
        first_divergence: the first operator that is further off, where one was found.
    """

    artifact: Path
    model: Path
    samples: int
    outputs: tuple[OutputVerdict, ...]
    reference: str
    bound: str | None
    within: bool
    note: tuple[str, ...] = ()
    first_divergence: Divergence | None = None

    def to_json(self) -> dict[str, Any]:
        """The contract's keys, of all outputs or the first that has one, and each output's own."""
        ratios = [v.sqnr_db for v in self.outputs if v.sqnr_db is not None]
        agreements = [v.top1_agreement for v in self.outputs if v.top1_agreement is not None]
        found = self.first_divergence
        return {
            "exact": all(verdict.exact for verdict in self.outputs),
            "within": self.within,
            "bound": self.bound,
            "reference": self.reference,
            "samples": self.samples,
            "max_abs_error": max(verdict.max_abs_error for verdict in self.outputs),
            "sqnr_db": min(ratios, default=None),
            "top1_agreement": min(agreements, default=None),
            "first_divergence": None if found is None else found.to_json(),
            "note": list(self.note),
            "outputs": [asdict(verdict) for verdict in self.outputs],
        }

    @property
    def complaint(self) -> str | None:
        """One sentence if the program is not what it should be."""
        if self.within:
            return None
        found = self.first_divergence
        if found is None:
            where = "; ".join(self.note) or "no single operator is to blame"
        else:
            place = ", ".join(map(str, found.index))
            where = (
                f"the first operator that differs is {found.name} ({found.op}): it gives "
                f"{found.ours} instead of {found.reference} at [{place}] in sample {found.sample}"
            )
        return (
            f"{self.artifact}: it does not compute what {self.model} does ({self.bound}); {where}"
        )


def verify_file(
    artifact: Path,
    model: ModelFile,
    data: Path,
    limit: int | None,
    carry: bool,
    progress: Progress,
) -> Verified:
    """Compare an artifact with a model, sample by sample, and find where they part.

    Args:
        artifact: the artifact, run by the engine that fits.
        model: the model. A TFLite file is run by tflite-runtime's reference kernels, any other by
            onnxruntime. Without preprocessing of its own it gets the artifact's.
        data: the samples.
        limit: compare at most so many, evenly spread over the file.
        carry: keep the state of a streaming model from one sample for the next.
        progress: who is told how far it is.

    Raises:
        EdgecompError, ArtifactError, InputError: all that keeps them from being compared.
    """
    opened = open_artifact(artifact)
    manifest = opened.manifest
    given = model.parsed_preprocess()
    wanted = model.load()
    _check_same_signature(artifact, manifest, wanted)
    if given is None and manifest.preprocess is not None:
        given = Preprocess.parse(manifest.preprocess)
    samples = spread(read_samples(data, manifest.inputs, given), limit)
    pair = _Pair(opened, wanted, original_of(wanted, carry), samples, carry)
    outputs, failed = pair.compare(progress)
    result = Verified(
        artifact=artifact,
        model=model.path,
        samples=samples.count,
        outputs=outputs,
        reference=pair.original.name,
        bound=pair.bound(),
        within=pair.bound() is None or not failed,
        note=tuple(note for note in (pair.original.note, pair.unbounded(), pair.fresh()) if note),
    )
    return result if result.within else pair.explained(result, failed, progress)


@dataclass(frozen=True)
class _Pair:
    """An artifact and its model, on the same samples."""

    artifact: Artifact
    model: Model
    original: Original
    samples: Samples
    carry: bool

    def fresh(self) -> str:
        """What is not seen of a streaming model whose state is reset, or ""."""
        if self.carry or not self.artifact.manifest.memory.state_bytes:
            return ""
        return "each sample finds the state anew; --state carry makes them frames of one stream"

    def unbounded(self) -> str:
        """Why nothing can be asked of the artifact, or ""."""
        mine, theirs = self.artifact.manifest.passes, self.model.history
        if mine != theirs:
            return (
                f"the program was compiled after the passes {', '.join(mine) or 'none'}, the model "
                f"has seen {', '.join(theirs) or 'none'}: they may differ by that"
            )
        manifest = self.artifact.manifest
        stepped = any(spec.scale is not None for spec in (*manifest.inputs, *manifest.outputs))
        if stepped and not is_quantized(self.model):
            return "the program is quantized, the model is not: they may differ by that"
        return ""

    def bound(self) -> str | None:
        """How close the program should be, in words."""
        if self.unbounded():
            return None
        floats = f"{RELATIVE:g} of the largest value"
        if not is_quantized(self.model):
            return floats
        steps = "the same integers" if self.original.steps == 0 else "one step an operator"
        return f"{steps}, floats to {floats}"

    def compare(self, progress: Progress) -> tuple[tuple[OutputVerdict, ...], list[int]]:
        """A verdict on each output, and which samples are further off than they should be."""
        manifest = self.artifact.manifest
        tallies = [Tally(spec, self.original.steps) for spec in manifest.outputs]
        failed = []
        with (
            Session(self.artifact, carry=self.carry) as session,
            progress.task("verify", self.samples.count) as step,
        ):
            programs = session.run_raw(self.samples)
            for index, (sample, (raw, _)) in enumerate(zip(self.samples, programs, strict=True)):
                expected = self.original.run(self._model_inputs(sample))
                close = [
                    tally.add(array, real)
                    for tally, array, real in zip(tallies, raw, expected, strict=True)
                ]
                if not all(close):
                    failed.append(index)
                step()
        return tuple(tally.verdict() for tally in tallies), failed

    def explained(self, result: Verified, failed: Sequence[int], progress: Progress) -> Verified:
        """`result` with the first operator that is to blame, or the reason why there is none."""
        found: list[Divergence] = []
        odd = False
        # a stream is followed from its beginning, for the error may lie in what it has kept
        traced = range(failed[0] + 1) if self.carry else failed[:TRACED]
        self.original.reset()
        with (
            Session(self.artifact, carry=self.carry) as session,
            Tracer(self.artifact) as tracer,
            progress.task("trace", len(traced)) as step,
        ):
            for index in traced:
                one, same = self._traced(index, session, tracer)
                odd = odd or not same
                found += [] if one is None else [one]
                step()
                if found and self.carry:
                    break
        first = min(found, key=lambda one: one.call, default=None)
        return self._judged(result, first, odd, len(failed))

    def _traced(
        self, index: int, session: Session, tracer: Tracer
    ) -> tuple[Divergence | None, bool]:
        """The first divergence in a sample, and whether the engine gives what the C gives."""
        sample = [array[index] for array in self.samples.arrays]
        outputs, made = tracer.run(session.prepare(sample)[0])
        ((ran, _),) = session.run_raw([sample])
        same = all(a.tobytes() == b.tobytes() for a, b in zip(outputs, ran, strict=True))
        values = values_of(made, self.artifact.manifest, self.model)
        expected = self.original.expected(values, self._model_inputs(sample))
        steps = self.original.steps
        return first_divergence(values, expected, self.artifact.manifest, index, steps), same

    def _judged(
        self, result: Verified, first: Divergence | None, odd: bool, failed: int
    ) -> Verified:
        notes = list(result.note)
        if failed > TRACED and not self.carry:
            notes.append(f"{failed} samples differ, {TRACED} of them were traced")
        if odd:
            notes.append(
                "its machine code gives other values than its C compiled here: compile it again"
            )
        elif first is None and self.original.local and is_quantized(self.model):
            notes.append("every operator by itself is within one step: roundings add up")
            return replace(result, within=True, note=tuple(notes))
        elif first is None and self.original.local:
            notes.append("every operator by itself is close enough: small differences add up")
        return replace(result, note=tuple(notes), first_divergence=first)

    def _model_inputs(self, sample: Sequence[Array]) -> list[Array]:
        return _model_inputs(sample, self.artifact.manifest.inputs, self.model)


def _model_inputs(
    sample: Sequence[Array], specs: Sequence[TensorSpec], model: Model
) -> list[Array]:
    """A sample as the model takes it: real values, in its layout and element type."""
    arrays = []
    for array, spec, wanted in zip(sample, specs, model.inputs, strict=True):
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
