"""`edgecomp compile`: a model and a device to an artifact."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecomp.commands.model_file import ARTIFACT_SUFFIX, ModelFile, check_output
from edgecomp.commands.pass_files import PassFiles
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError, Reason
from edgecomp.pipeline import Options, compile_model
from edgecomp.progress import Progress
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.preprocess import Preprocess
from edgecomp_runtime.summary import artifact_summary

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True)
class Compiled:
    """What was compiled.

    Attributes:
        output: the artifact.
        manifest: what it says of itself.
        file_bytes: size of the file.
        seconds: how long it took.
    """

    output: Path
    manifest: Manifest
    file_bytes: int
    seconds: float

    def ops(self, where: str) -> int:
        """How many calls run "integer" or "float"."""
        return sum(op.where == where for op in self.manifest.ops)

    def to_json(self) -> dict[str, Any]:
        """What `inspect` says of the artifact, and how it came to be."""
        return {
            **artifact_summary(self.manifest),
            "output": str(self.output),
            "file_bytes": self.file_bytes,
            "integer_ops": self.ops("integer"),
            "float_ops": self.ops("float"),
            "seconds": self.seconds,
        }


def parse_bytes(text: str) -> int:
    """The bytes of a size such as `32K`, `1M` or `20000`; K is 1,024.

    Raises:
        EdgecompError: the text does not have that form.
    """
    match = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise EdgecompError(
            Reason("this is no size", f"--ram {text}", "write bytes, or 32K, or 1M")
        )
    return int(match[1]) * _UNITS[match[2].upper()]


def compile_file(
    file: ModelFile,
    device: str,
    output: Path | None,
    given: PassFiles,
    options: Options,
    progress: Progress,
) -> Compiled:
    """Compile a model file for a device.

    Args:
        file: the model; its preprocessing is recorded in the artifact.
        device: name or path of the profile.
        output: the artifact to write, whole or not at all; by default named like the model, in
            the current folder.
        given: the passes to apply first, and their data.
        options: how to compile; their `preprocess` is ignored.
        progress: who is told how far it is.

    Raises:
        EdgecompError, InputError: all that is wrong with the options, the model or the data.
    """
    started = time.monotonic()
    output = output or Path(f"{file.path.stem}{ARTIFACT_SUFFIX}")
    check_output(output, ARTIFACT_SUFFIX)
    profile = load_device(device)
    passes = given.passes()
    preprocess = file.parsed_preprocess()
    manifest = compile_model(
        file.load(),
        profile,
        output,
        passes=passes,
        data=given.calibration(preprocess),
        train=given.training(preprocess),
        options=replace(options, preprocess=_recorded(preprocess, options.input_layout)),
        progress=progress,
    )
    return Compiled(output, manifest, output.stat().st_size, time.monotonic() - started)


def _recorded(preprocess: Preprocess | None, input_layout: str | None) -> str | None:
    """The spec for the program's inputs: those in the recordings' own layout need no transpose."""
    if preprocess is None:
        return None
    if input_layout == "nhwc" and preprocess.layout == "nchw":
        preprocess = replace(preprocess, layout="nhwc")
    return str(preprocess)
