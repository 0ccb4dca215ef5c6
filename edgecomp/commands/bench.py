"""`edgecomp bench`: artifacts measured where a link leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecomp.commands.counted import counted
from edgecomp.progress import Progress
from edgecomp_runtime.links import bench_artifact
from edgecomp_runtime.measure import Measurement


@dataclass(frozen=True)
class Benched:
    """What was measured, an artifact each."""

    measurements: tuple[tuple[Path, Measurement], ...]

    def to_json(self) -> Any:
        """The contract's keys and the file; a list of these when there are several artifacts."""
        values = [{"file": str(path), **m.to_json()} for path, m in self.measurements]
        return values[0] if len(values) == 1 else values


def bench_files(
    artifacts: Sequence[Path],
    link: str | None,
    data: Path | None,
    repeat: int,
    warmup: int,
    progress: Progress,
) -> Benched:
    """Measure artifacts, one after another.

    Args:
        artifacts: what to measure.
        link: where, or None for what fits; see `edgecomp_runtime.links.bench_artifact`.
        data: samples to measure with; by default made up.
        repeat: timed inferences of each.
        warmup: inferences before them.
        progress: who is told how far it is.

    Raises:
        ArtifactError, InputError: what keeps one from being measured.
    """
    found = []
    for path in artifacts:
        with counted(progress, f"bench {path.name}") as tell:
            found.append((path, bench_artifact(path, link, data, repeat, warmup, tell)))
    return Benched(tuple(found))
