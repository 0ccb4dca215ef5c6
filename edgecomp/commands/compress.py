"""`edgecomp compress`: passes applied to a model, ONNX in and ONNX out."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecomp.commands.model_file import ModelFile, check_output
from edgecomp.commands.pass_files import PassFiles
from edgecomp.compress import Statistics, compress, save_model, statistics
from edgecomp.device import load_device
from edgecomp.progress import Progress


@dataclass(frozen=True)
class Compressed:
    """What the passes did.

    Attributes:
        output: the ONNX file written.
        passes: the spec of every pass the model has been through.
        before, after: what the model costs.
    """

    output: Path
    passes: tuple[str, ...]
    before: Statistics
    after: Statistics

    def to_json(self) -> dict[str, Any]:
        """The keys of the contract, the passes and the file."""
        return {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "passes": list(self.passes),
            "output": str(self.output),
        }


def compress_file(
    file: ModelFile, given: PassFiles, device: str | None, output: Path, progress: Progress
) -> Compressed:
    """Apply passes to a model file and write another.

    Args:
        file: the model.
        given: the passes and their data.
        device: name or path of the profile of what the model is compressed for, or None.
        output: the ONNX file to write, whole or not at all.
        progress: who is told how far it is.

    Raises:
        EdgecompError, InputError: all that is wrong with the options, the model or the data.
    """
    check_output(output, ".onnx")
    passes = given.passes()
    profile = None if device is None else load_device(device)
    preprocess = file.parsed_preprocess()
    model = file.load()
    checkpoints = output.with_suffix(".checkpoints")
    after = compress(
        model,
        passes,
        given.calibration(preprocess),
        progress,
        train=given.training(preprocess),
        device=profile,
        checkpoints=checkpoints,
    )
    save_model(after, output)
    shutil.rmtree(checkpoints, ignore_errors=True)  # of no use once the work is done
    return Compressed(output, after.history, statistics(model), statistics(after))
