"""`edgecomp bench`: artifacts measured in turn where a link leads, and beside another runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecomp.baseline import Rival, rival_of
from edgecomp.commands.counted import counted
from edgecomp.commands.flash import flash
from edgecomp.commands.model_file import ModelFile
from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.progress import Progress
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.compare import Ratio, exact_ratio, measured_ratio
from edgecomp_runtime.engines import SERIAL
from edgecomp_runtime.links import bench_artifacts
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.measurement import Measurement

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Baseline:
    """What another runtime took on this machine.

    Attributes:
        name: of the runtime.
        version: of the runtime.
        samples_s: seconds of every timed inference.
    """

    name: str
    version: str
    samples_s: tuple[float, ...]

    def percentile_s(self, percent: float) -> float:
        """Seconds that `percent` of the inferences stay within."""
        return float(np.percentile(self.samples_s, percent))

    def to_json(self) -> dict[str, Any]:
        """The keys a measurement has too."""
        return {
            "name": self.name,
            "version": self.version,
            "latency_s": {f"p{percent}": self.percentile_s(percent) for percent in PERCENTILES},
            "samples_s": list(self.samples_s),
        }


@dataclass(frozen=True)
class Entry:
    """One artifact.

    Attributes:
        path: the artifact.
        manifest: what the artifact says of itself.
        measurement: what it took.
        ratio: that over what the first artifact took; None for the first, where the one was
            timed and the other counted, and of counts on different devices.
        against_baseline: that over what the baseline took, if there is one.
    """

    path: Path
    manifest: Manifest
    measurement: Measurement
    ratio: Ratio | None
    against_baseline: Ratio | None


@dataclass(frozen=True)
class Benched:
    """What was measured: an entry for each artifact, and the baseline if there is one."""

    entries: tuple[Entry, ...]
    baseline: Baseline | None = None

    def to_json(self) -> Any:
        """The contract's keys and the file; a list of these when there are several artifacts."""
        values = [self._entry(entry) for entry in self.entries]
        return values[0] if len(values) == 1 else values

    def _entry(self, entry: Entry) -> dict[str, Any]:
        ratio, against = entry.ratio, entry.against_baseline
        flash, memory = entry.manifest.flash, entry.manifest.memory
        return {
            "file": str(entry.path),
            **entry.measurement.to_json(),
            **asdict(flash),
            "ram_bytes": memory.ram_bytes,
            "arena_bytes": memory.arena_bytes,
            "state_bytes": memory.state_bytes,
            "ratio_to_first": None if ratio is None else ratio.to_json(),
            "baseline": None if self.baseline is None else self.baseline.to_json(),
            "ratio_to_baseline": None if against is None else against.to_json(),
        }


def bench_files(
    artifacts: Sequence[Path],
    link: str | None,
    data: Path | None,
    repeat: int,
    warmup: int,
    baseline: str | None,
    model: ModelFile | None,
    progress: Progress,
    flash_command: str | None = None,
) -> Benched:
    """Measure artifacts in turn, and another runtime with them.

    Args:
        artifacts: what to measure.
        link: where, or None for what fits; see `edgecomp_runtime.links.bench_artifacts`.
        data: samples to measure with; by default made up.
        repeat: timed inferences of each.
        warmup: inferences before them.
        baseline: a runtime of `edgecomp.baseline.RIVALS`, or None.
        model: what the baseline runs.
        progress: who is told how far it is.
        flash_command: what brings the bench firmware onto the board at a serial link; see
            `edgecomp.commands.flash.flash`.

    Raises:
        EdgecompError, ArtifactError, InputError: what keeps one from being measured.
    """
    serial = link is not None and link.startswith(SERIAL)
    _check_options(serial, baseline, flash_command)
    rival = _rival(baseline, model)
    timers = [] if rival is None else [rival.timer]
    what = ", ".join(path.name for path in artifacts)
    with counted(progress, f"bench {what}") as tell:
        if link is not None and serial:
            found = _on_board(artifacts, link, data, repeat, tell, flash_command)
        else:
            found = bench_artifacts(artifacts, link, data, repeat, warmup, tell, timers)
    taken = None if rival is None else tuple(rival.seconds[warmup:])
    entries = [
        Entry(
            path,
            open_artifact(path).manifest,
            measurement,
            None if index == 0 else _ratio(measurement, found[0]),
            None if taken is None else _measured(measurement, taken),
        )
        for index, (path, measurement) in enumerate(zip(artifacts, found, strict=True))
    ]
    if rival is None or taken is None:
        return Benched(tuple(entries))
    return Benched(tuple(entries), Baseline(rival.name, rival.version, taken))


def _check_options(serial: bool, baseline: str | None, flash_command: str | None) -> None:
    """Make sure that no option has nothing to do.

    Raises:
        EdgecompError: a baseline on a board, or a command to flash none.
    """
    reasons = []
    if serial and baseline is not None:
        fix = "leave it out, or leave --on out"
        reasons.append(Reason("a baseline runs on this machine", f"--baseline {baseline}", fix))
    if flash_command is not None and not serial:
        fix = "add --on serial:PORT"
        reasons.append(Reason("there is no board to flash", "--flash-command", fix))
    raise_if_any(reasons)


def _on_board(
    artifacts: Sequence[Path],
    link: str,
    data: Path | None,
    repeat: int,
    tell: Callable[[int, int], None],
    flash_command: str | None,
) -> list[Measurement]:
    """A measurement of each artifact, flashed one after the other."""
    found = []
    for path in artifacts:
        with tempfile.TemporaryDirectory(prefix="edgecomp-") as work:
            flashed = flash(path, flash_command, Path(work))
            (measurement,) = bench_artifacts([flashed], link, data, repeat, 0, tell)
        found.append(replace(measurement, link=link))
    return found


def _rival(baseline: str | None, model: ModelFile | None) -> Rival | None:
    if baseline is None:
        return None
    if model is None:
        raise EdgecompError(
            Reason(
                "an artifact does not hold the model it was compiled from",
                f"--baseline {baseline}",
                "name the model with --model",
            )
        )
    return rival_of(baseline, model.load())


def _ratio(measurement: Measurement, first: Measurement) -> Ratio | None:
    if measurement.device == first.device and measurement.instructions and first.instructions:
        return exact_ratio(measurement.instructions, first.instructions)
    return None if first.instructions else _measured(measurement, first.samples_s)


def _measured(measurement: Measurement, others: Sequence[float]) -> Ratio | None:
    """The ratio of what was timed in turn; None for a program that was not timed."""
    if measurement.instructions is not None or len(measurement.samples_s) != len(others):
        return None
    return measured_ratio(measurement.samples_s, others)
