"""`edgecomp run`: an artifact on the samples of a data file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecomp.commands.counted import counted
from edgecomp.progress import Progress
from edgecomp_runtime.links import run_artifact


@dataclass(frozen=True)
class Ran:
    """What was run.

    Attributes:
        output: the file of outputs.
        samples: how many there are.
    """

    output: Path
    samples: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"samples": self.samples, "output": str(self.output)}


def run_file(
    artifact: Path,
    data: Path,
    output: Path,
    link: str | None,
    progress: Progress,
    carry: bool = False,
) -> Ran:
    """Run an artifact on every sample of `data` and write `output`.

    Args:
        artifact: the artifact.
        data: the samples.
        output: the .npz file to write, whole or not at all.
        link: where to run, or None for what fits; see `edgecomp_runtime.links.run_artifact`.
        progress: who is told how far it is.
        carry: keep the state of a streaming model from one sample for the next.

    Raises:
        ArtifactError, InputError: all that keeps it from being run.
    """
    with counted(progress, "run") as tell:
        return Ran(output, run_artifact(artifact, data, output, link, tell, carry))
