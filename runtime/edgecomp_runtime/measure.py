"""Measures a program: latency or exact counts, energy, and what they were measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.compare import Timer, in_turn
from edgecomp_runtime.energy import RaplMeter, measured_energy, modelled_energy
from edgecomp_runtime.engines import BoardEngine, CountingEngine, TimingEngine
from edgecomp_runtime.errors import InputError
from edgecomp_runtime.examples import example_inputs
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.measurement import Measurement, of_board, of_counts, of_latencies
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
REPEAT = 50
WARMUP = 5


def bench(
    session: Session,
    samples: Sequence[Sequence[Array]] | None = None,
    repeat: int = REPEAT,
    warmup: int = WARMUP,
    meter: RaplMeter | None = None,
    progress: Progress = lambda done, total: None,
) -> Measurement:
    """Measure a session's program.

    On real silicon every inference is timed, the samples taken in turn. An emulator counts the
    instructions of the first sample once: the count is exact, so repeating it tells nothing.

    Args:
        session: the program and what runs it.
        samples: for each sample one array for each input; by default `example_inputs`.
        repeat: timed inferences, at least 1.
        warmup: inferences before them, not timed.
        meter: measures energy on real silicon; modelled when None.
        progress: called with inferences done and in all.

    Raises:
        InputError: there are no samples, `repeat` or `warmup` cannot be, or a sample does not
            fit the program.
    """
    return bench_in_turn([session], [samples], repeat, warmup, meter, progress)[0]


def bench_in_turn(
    sessions: Sequence[Session],
    samples: Sequence[Sequence[Sequence[Array]] | None],
    repeat: int = REPEAT,
    warmup: int = WARMUP,
    meter: RaplMeter | None = None,
    progress: Progress = lambda done, total: None,
    rivals: Sequence[Timer] = (),
) -> list[Measurement]:
    """Measure several programs; those on real silicon in turn, A B A B ...

    Args:
        sessions, samples: as for `bench`, an entry for each program.
        repeat, warmup: of each program.
        meter: as for `bench`.
        progress: called with inferences done and in all.
        rivals: programs of another kind, which take turns with the others.

    Returns:
        A measurement for each session. What rivals took, they know themselves.

    Raises:
        InputError: as for `bench`.
    """
    if repeat < 1 or warmup < 0:
        raise InputError("bench: repeat is at least 1 and warmup at least 0")
    found: dict[int, Measurement] = {}
    timed: list[_Timed] = []
    for index, (session, given) in enumerate(zip(sessions, samples)):
        engine, manifest = session.engine, session.artifact.manifest
        given = [example_inputs(manifest.inputs)] if given is None else given
        if not given:
            raise InputError("bench: there are no samples")
        if isinstance(engine, CountingEngine):
            progress(0, 1)
            counts = engine.count(session.prepare(given[0])[0])
            progress(1, 1)
            found[index] = of_counts(manifest, engine.name, counts)
        elif isinstance(engine, TimingEngine):
            prepared = [session.prepare(sample)[0] for sample in given]
            timed.append(_Timed(index, manifest, engine, prepared))
        elif isinstance(engine, BoardEngine):
            runs = [session.prepare(given[i % len(given)])[0] for i in range(repeat)]
            progress(0, 1)
            times = engine.times(runs)
            progress(1, 1)
            found[index] = of_board(manifest, engine.name, times)
        else:
            raise InputError(f"bench: the engine {engine.name} neither times nor counts")
    timers = [*(one.latency for one in timed), *rivals]
    seconds = in_turn(timers, repeat, warmup, progress) if timers else []
    for one, latencies in zip(timed, seconds):
        found[one.index] = one.measurement(latencies, warmup, meter)
    return [found[index] for index in range(len(sessions))]


@dataclass(frozen=True)
class _Timed:
    """A program on real silicon, and the program's own values of its samples."""

    index: int
    manifest: Manifest
    engine: TimingEngine
    samples: Sequence[list[Array]]

    def latency(self, turn: int) -> float:
        """Seconds of one inference."""
        return self.engine.latency(self.samples[turn % len(self.samples)])

    def measurement(
        self, latencies: Sequence[float], warmup: int, meter: RaplMeter | None
    ) -> Measurement:
        """What was measured; energy is measured after that, by the first sample."""
        if meter is None:
            energy = modelled_energy(self.manifest.profile, float(np.percentile(latencies, 50)))
        else:
            energy = measured_energy(meter, lambda: self.engine.latency(self.samples[0]))
        return of_latencies(self.manifest, self.engine.name, latencies, warmup, energy)
