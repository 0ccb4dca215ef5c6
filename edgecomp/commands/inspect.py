"""`edgecomp inspect`: what a model or an artifact is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecomp.commands.model_file import ModelFile
from edgecomp.device import Device, load_device
from edgecomp.graph.quantizable import QUANTIZED_OPS, why_float
from edgecomp.graph.summary import ModelSummary, summarize
from edgecomp.lowering.integer import lower_integer
from edgecomp.model import Model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.summary import artifact_summary

INTEGER, FLOAT, FOLDED = "integer", "float", "folded"
"""Where a node runs; a folded one is computed with another, or at compile time."""


@dataclass(frozen=True)
class ModelInspection:
    """A model.

    Attributes:
        summary: what it costs.
        where: by node name, where it would run if compiled as it is.
        why_float: by node name, why it has no integer meaning; those absent have one.
        passes: what was applied to it before.
        device: the device the user asked about, if any.
    """

    summary: ModelSummary
    where: Mapping[str, str]
    why_float: Mapping[str, str]
    passes: tuple[str, ...]
    device: Device | None = None

    @property
    def quantized(self) -> bool:
        """Whether it is in QDQ form."""
        return any(op in QUANTIZED_OPS for op in self.summary.op_counts)

    @property
    def fits_flash(self) -> bool | None:
        """Whether its constants alone fit the device's flash; None when no device is named."""
        if self.device is None:
            return None
        return self.summary.bytes <= self.device.memory.flash_bytes.value

    def to_json(self) -> dict[str, Any]:
        """The keys of the contract, `where` and `why_float` of each operator, and the device."""
        values = self.summary.to_json()
        for op in values["ops"]:
            op["where"] = self.where[op["name"]]
            op["why_float"] = self.why_float.get(op["name"])
        values["passes"] = list(self.passes)
        values["device"] = None if self.device is None else self.device.name
        values["weights_fit_flash"] = self.fits_flash
        return values


@dataclass(frozen=True)
class ArtifactInspection:
    """An artifact.

    Attributes:
        path: the file.
        manifest: what it says of itself.
        file_bytes: size of the file.
    """

    path: Path
    manifest: Manifest
    file_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The keys of the contract, and the memory map."""
        return {
            **artifact_summary(self.manifest),
            "file_bytes": self.file_bytes,
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
        return ArtifactInspection(file.path, artifact.manifest, file.path.stat().st_size)
    profile = None if device is None else load_device(device)
    file.parsed_preprocess()
    model = file.load()
    return ModelInspection(summarize(model), _where(model), _why(model), model.history, profile)


def _where(model: Model) -> dict[str, str]:
    """Where each node runs, by its name: what the integer lowering makes of it."""
    lowered = {
        str(node.name): INTEGER if _is_integer(node.outputs[0].dtype) else FLOAT
        for node in lower_integer(model, integer_io=True).graph.graph
    }
    return {str(n.name): lowered.get(str(n.name), FOLDED) for n in model.graph.graph}


def _is_integer(dtype: Any) -> bool:
    return dtype is not None and bool(dtype.is_integer())


def _why(model: Model) -> dict[str, str]:
    reasons = {str(node.name): why_float(node) for node in model.graph.graph}
    return {name: why for name, why in reasons.items() if why is not None}
