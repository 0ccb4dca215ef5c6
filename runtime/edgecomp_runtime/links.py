"""Runs and measures an artifact wherever a link leads: this machine, an emulator, another host."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.compare import Timer
from edgecomp_runtime.data import Samples, read_samples, write_outputs
from edgecomp_runtime.energy import RaplMeter
from edgecomp_runtime.engines import choose_engine
from edgecomp_runtime.errors import InputError
from edgecomp_runtime.files import whole_file
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.measure import REPEAT, WARMUP, Progress, bench_in_turn
from edgecomp_runtime.measurement import Measurement, measurement_from_json
from edgecomp_runtime.preprocess import Preprocess
from edgecomp_runtime.remote import SCHEME, RemoteHost, run_there
from edgecomp_runtime.session import Session

PathLike = os.PathLike[str]
ROUNDS = 5
"""How often artifacts take turns where each turn is a connection to another host."""
_ARTIFACT, _INPUT, _RESULT = "program.edge", "input.npz", "result"


def _silent(done: int, total: int) -> None:
    """Shows no progress."""


def bench_artifact(
    path: str | PathLike,
    link: str | None = None,
    data: str | PathLike | None = None,
    repeat: int = REPEAT,
    warmup: int = WARMUP,
    progress: Progress = _silent,
) -> Measurement:
    """Measure the artifact at `path`.

    Args:
        path: the artifact.
        link: "native:", "unicorn:", "qemu:", "ssh://user@host:port", or None for what fits.
        data: an .npz file of samples; by default `examples.example_inputs`.
        repeat: timed inferences.
        warmup: inferences before them.
        progress: called with inferences done and in all.

    Raises:
        ArtifactError, InputError: what keeps it from being measured.
    """
    return bench_artifacts([path], link, data, repeat, warmup, progress)[0]


def bench_artifacts(
    paths: Sequence[str | PathLike],
    link: str | None = None,
    data: str | PathLike | None = None,
    repeat: int = REPEAT,
    warmup: int = WARMUP,
    progress: Progress = _silent,
    rivals: Sequence[Timer] = (),
) -> list[Measurement]:
    """Measure the artifacts at `paths` in turn, A B A B ...

    On this machine every other inference is another artifact's; through ssh they take turns of
    `repeat` / `ROUNDS` inferences.

    Args:
        paths: the artifacts.
        link, data, repeat, warmup, progress: as for `bench_artifact`.
        rivals: programs of another kind that take turns with them on this machine.

    Raises:
        ArtifactError, InputError: what keeps one of them from being measured.
    """
    if link is not None and link.startswith(SCHEME):
        if rivals:
            raise InputError(f"{link}: a baseline is timed on this machine; leave --on out")
        return _bench_all_there(paths, RemoteHost.parse(link), data, repeat, warmup)
    artifacts = [open_artifact(path) for path in paths]
    samples = [None if data is None else list(_read(data, a.manifest)) for a in artifacts]
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(Session(artifact, choose_engine(artifact, link)))
            for artifact in artifacts
        ]
        return bench_in_turn(
            sessions, samples, repeat, warmup, RaplMeter.find(), progress, rivals=rivals
        )


def run_artifact(
    path: str | PathLike,
    data: str | PathLike,
    output: str | PathLike,
    link: str | None = None,
    progress: Progress = _silent,
    carry: bool = False,
) -> int:
    """Run the artifact at `path` on the samples of an .npz file, and write another.

    Args:
        path: the artifact.
        data: the samples, see `data.read_samples`.
        output: the file to write, whole or not at all, see `data.write_outputs`.
        link: as for `bench_artifact`.
        progress: called with samples done and in all.
        carry: keep the state of a streaming model from one sample for the next.

    Returns:
        How many samples were run.

    Raises:
        ArtifactError, InputError: what keeps it from being run; nothing is written then.
        OSError: the output cannot be written.
    """
    if not Path(output).parent.is_dir():
        raise InputError(f"{output}: there is no folder {Path(output).parent}; make it first")
    if link is not None and link.startswith(SCHEME):
        return _run_there(path, data, output, RemoteHost.parse(link), carry)
    artifact = open_artifact(path)
    samples = _read(data, artifact.manifest)
    with Session(artifact, choose_engine(artifact, link), carry) as session:
        outputs = run_all(session, samples, progress)
    write_outputs(output, artifact.manifest.outputs, outputs)
    return samples.count


def run_all(
    session: Session, samples: Samples, progress: Progress = _silent
) -> list[npt.NDArray[Any]]:
    """The outputs of every sample: for each output of the program [samples, *shape].

    Raises:
        InputError: a sample does not fit the program.
    """
    columns: list[list[npt.NDArray[Any]]] = [[] for _ in session.artifact.manifest.outputs]
    for done, outputs in enumerate(session.run_samples(samples)):
        progress(done, samples.count)
        for column, array in zip(columns, outputs.values()):
            column.append(array)
    progress(samples.count, samples.count)
    return [np.stack(column) for column in columns]


def _read(data: str | PathLike, manifest: Manifest) -> Samples:
    spec = manifest.preprocess
    return read_samples(data, manifest.inputs, None if spec is None else Preprocess.parse(spec))


def _bench_all_there(
    paths: Sequence[str | PathLike],
    host: RemoteHost,
    data: str | PathLike | None,
    repeat: int,
    warmup: int,
) -> list[Measurement]:
    """A measurement for each artifact, of all the rounds it took part in."""
    if len(paths) == 1 or repeat < 1:
        return [_bench_there(path, host, data, repeat, warmup) for path in paths]
    rounds = min(ROUNDS, repeat)
    repeats = [repeat // rounds + (index < repeat % rounds) for index in range(rounds)]
    found = [[_bench_there(path, host, data, n, warmup) for path in paths] for n in repeats]
    return [
        replace(turns[0], samples_s=tuple(s for turn in turns for s in turn.samples_s))
        for turns in zip(*found)
    ]


def _bench_there(
    path: str | PathLike,
    host: RemoteHost,
    data: str | PathLike | None,
    repeat: int,
    warmup: int,
) -> Measurement:
    manifest = open_artifact(path).manifest
    files = {_ARTIFACT: Path(path).read_bytes()}
    arguments = ["bench", _ARTIFACT, "--json", "--on", "native:"]
    arguments += ["--repeat", str(repeat), "--warmup", str(warmup)]
    if data is not None:
        _read(data, manifest)  # an error is cheaper on this side
        files[_INPUT] = Path(data).read_bytes()
        arguments += ["--input", _INPUT]
    answer = run_there(host, arguments, files)
    try:
        measurement = measurement_from_json(json.loads(answer))
    except ValueError as error:
        raise InputError(f"{host}: the host's answer is no measurement ({error})") from error
    return replace(measurement, link=str(host))


def _run_there(
    path: str | PathLike,
    data: str | PathLike,
    output: str | PathLike,
    host: RemoteHost,
    carry: bool,
) -> int:
    count = _read(data, open_artifact(path).manifest).count
    arguments = ["run", _ARTIFACT, "--input", _INPUT, "--output", _RESULT, "--on", "native:"]
    arguments += ["--state", "carry" if carry else "reset"]
    files = {_ARTIFACT: Path(path).read_bytes(), _INPUT: Path(data).read_bytes()}
    answer = run_there(host, arguments, files)
    with whole_file(output) as stream:
        stream.write(answer)
    return count
