"""`edgecomp inspect`: what a model or an artifact is made of, and what would become of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecomp.artifact import memory_of, op_records
from edgecomp.budget import check_budget
from edgecomp.commands.model_file import ModelFile
from edgecomp.device import Device, load_device
from edgecomp.errors import EdgecompError
from edgecomp.graph.quantizable import QUANTIZED_OPS, why_float, why_not_chosen
from edgecomp.graph.summary import ModelSummary, summarize
from edgecomp.pipeline import Options, emitted
from edgecomp_runtime.artifact import open_artifact, plain_bytes
from edgecomp_runtime.manifest import Flash, Manifest
from edgecomp_runtime.summary import artifact_summary

if TYPE_CHECKING:
    from edgecomp.lowering.dry_run import DryRun

PLACES = ("integer", "float", "folded", "refused")
"""Where nodes run; see `edgecomp.lowering.dry_run`."""


@dataclass(frozen=True)
class Estimate:
    """What the program of a model takes of a device, before it is compiled.

    Attributes:
        device: the device.
        weights_bytes: constants, exact; what code takes beside them is not known yet. None where
            there is no program.
        arena_bytes: tensors between the calls, inputs and outputs, exact; the stack is not known.
        state_bytes: what outlives an inference.
        reasons: why there is no program, or why it does not fit.
    """

    device: Device
    weights_bytes: int | None
    arena_bytes: int | None
    state_bytes: int | None
    reasons: tuple[str, ...]

    @property
    def fits_flash(self) -> bool | None:
        """Whether the constants alone fit the device's flash; None when there is no program."""
        if self.weights_bytes is None:
            return None
        return self.weights_bytes <= self.device.memory.flash_bytes.value

    @property
    def fits_ram(self) -> bool | None:
        """Whether the arena and the state fit the device's RAM; None when there is no program."""
        if self.arena_bytes is None or self.state_bytes is None:
            return None
        return self.arena_bytes + self.state_bytes <= self.device.memory.ram_bytes.value


@dataclass(frozen=True)
class ModelInspection:
    """A model.

    Attributes:
        summary: what it costs.
        dry: what lowering makes of it as it is.
        why_float: by node name, why it has no integer meaning; those absent have one.
        why_not_chosen: by node name, why the quantize pass would leave it in float.
        passes: what was applied to it before.
        estimate: what it takes of the device the user asked about, if any.
    """

    summary: ModelSummary
    dry: DryRun
    why_float: Mapping[str, str]
    why_not_chosen: Mapping[str, str]
    passes: tuple[str, ...]
    estimate: Estimate | None = None

    @property
    def quantized(self) -> bool:
        """Whether it is in QDQ form."""
        return any(op in QUANTIZED_OPS for op in self.summary.op_counts)

    def count(self, where: str) -> int:
        """How many nodes run at one of the places of `edgecomp.lowering.dry_run`."""
        return list(self.dry.where.values()).count(where)

    def to_json(self) -> dict[str, Any]:
        """The contract's keys; where each operator runs and why; what the device has to bear."""
        values = self.summary.to_json()
        for op in values["ops"]:
            name = op["name"]
            op["where"] = self.dry.where[name]
            op["why"] = self.dry.why.get(name)
            op["why_float"] = self.why_float.get(name)
        values["passes"] = list(self.passes)
        values["where"] = {place: self.count(place) for place in PLACES}
        estimate = self.estimate
        values["device"] = None if estimate is None else estimate.device.name
        values["weights_fit_flash"] = None if estimate is None else estimate.fits_flash
        values["arena_fits_ram"] = None if estimate is None else estimate.fits_ram
        values["weights_bytes"] = None if estimate is None else estimate.weights_bytes
        values["arena_bytes"] = None if estimate is None else estimate.arena_bytes
        values["state_bytes"] = None if estimate is None else estimate.state_bytes
        values["reasons"] = [] if estimate is None else list(estimate.reasons)
        return values


@dataclass(frozen=True)
class ArtifactInspection:
    """An artifact.

    Attributes:
        path: the file.
        manifest: what it says of itself.
        file_bytes: size of the file.
        plain_bytes: what it would be, were no constant Huffman-coded.
    """

    path: Path
    manifest: Manifest
    file_bytes: int
    plain_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The keys of the contract, and the memory map."""
        return {
            **artifact_summary(self.manifest),
            "file_bytes": self.file_bytes,
            "plain_bytes": self.plain_bytes,
            "buffers": [asdict(buffer) for buffer in self.manifest.memory.buffers],
        }


def inspect_file(file: ModelFile, device: str | None) -> ModelInspection | ArtifactInspection:
    """Inspect a model or an artifact.

    Args:
        file: what to look at.
        device: name or path of the profile to compare a model with, or None.

    Raises:
        EdgecompError, ArtifactError: the file or the device cannot be read.
    """
    if file.is_artifact:
        file.check_plain()
        artifact = open_artifact(file.path)
        size = file.path.stat().st_size
        plain = plain_bytes(artifact) if artifact.huffman else size
        return ArtifactInspection(file.path, artifact.manifest, size, plain)
    from edgecomp.lowering.dry_run import dry_run

    profile = None if device is None else load_device(device)
    file.parsed_preprocess()
    model = file.load()
    dry = dry_run(model)
    nodes = {str(node.name): node for node in model.graph.graph}
    floats = {name: why_float(node) for name, node in nodes.items()}
    left = {name: why_not_chosen(node) for name, node in nodes.items()}
    return ModelInspection(
        summary=summarize(model),
        dry=dry,
        why_float={name: why for name, why in floats.items() if why is not None},
        why_not_chosen={name: why for name, why in left.items() if why is not None},
        passes=model.history,
        estimate=None if profile is None else _estimate(dry, profile),
    )


def _estimate(dry: DryRun, device: Device) -> Estimate:
    """What the program takes: all that is known before the C is compiled."""
    if dry.program is None:
        return Estimate(device, None, None, None, tuple(map(str, dry.refusals)))
    try:
        program, source = emitted(dry.program, device, Options().optimize)
    except EdgecompError as error:
        return Estimate(device, None, None, None, tuple(map(str, error.reasons)))
    weights = Flash(source.weights_bytes, source.weights_bytes, 0)
    memory, records = memory_of(source, 0), op_records(program, source)
    reasons = check_budget(device, weights, memory, records, before_linking=True)
    sizes = (source.weights_bytes, memory.arena_bytes, memory.state_bytes)
    return Estimate(device, *sizes, tuple(map(str, reasons)))
