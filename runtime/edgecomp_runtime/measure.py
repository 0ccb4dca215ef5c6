"""Measures a program: latency or exact counts, energy, and what they were measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.compare import Timer, in_turn
from edgecomp_runtime.energy import (
    MEASURED,
    MODELLED,
    Energy,
    RaplMeter,
    measured_energy,
    modelled_cycles,
    modelled_energy,
    modelled_latency,
)
from edgecomp_runtime.engines import CountingEngine, Counts, TimingEngine
from edgecomp_runtime.errors import InputError
from edgecomp_runtime.examples import example_inputs
from edgecomp_runtime.host import Environment, environment
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
Progress = Callable[[int, int], None]
REPEAT = 50
WARMUP = 5
_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class OpMeasurement:
    """One call of the program; what was not measured or modelled is None.

    Attributes:
        name: the node's name in the user's file.
        op: the operator and what is fused into it.
        instructions: counted exactly by an emulator.
        cycles, latency_s: modelled from the instructions.
    """

    name: str
    op: str
    instructions: int | None = None
    cycles: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True)
class Measurement:
    """What one program did on one device. Measured and modelled figures are never mixed.

    Attributes:
        device: the device the program is for.
        link: where it ran: "native:", "unicorn:", "qemu:" or "ssh://...".
        latency_kind: "measured" by a clock, or "modelled" from instructions and the profile.
        samples_s: seconds of every timed inference, in the order made; one number if modelled;
            empty if the profile cannot tell.
        warmup: inferences before the timed ones.
        instructions: of one inference, counted exactly by an emulator; None on real silicon.
        cycles: modelled from the instructions; None on real silicon.
        stack_bytes: deepest stack an emulator saw, or None.
        energy: of one inference.
        per_op: one record for each call, in order.
        environment: the machine it ran on: for an emulator, the one that emulates.
    """

    device: str
    link: str
    latency_kind: str
    samples_s: tuple[float, ...]
    warmup: int
    instructions: int | None
    cycles: float | None
    stack_bytes: int | None
    energy: Energy
    per_op: tuple[OpMeasurement, ...]
    environment: Environment

    def percentile_s(self, percent: float) -> float | None:
        """Seconds that `percent` of the inferences stay within, interpolated linearly."""
        return float(np.percentile(self.samples_s, percent)) if self.samples_s else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, SI base units, null where a figure does not apply."""
        return {
            "device": self.device,
            "link": self.link,
            "instructions": self.instructions,
            "cycles": self.cycles,
            "cycles_kind": None if self.cycles is None else MODELLED,
            "latency_s": {f"p{p}": self.percentile_s(p) for p in _PERCENTILES},
            "latency_kind": self.latency_kind,
            "samples_s": list(self.samples_s),
            "warmup": self.warmup,
            "stack_bytes": self.stack_bytes,
            "energy_j": self.energy.joules,
            "energy_kind": self.energy.kind,
            "energy_meter": self.energy.meter,
            "per_op": [asdict(op) for op in self.per_op],
            "environment": asdict(self.environment),
        }


def measurement_from_json(values: Mapping[str, Any]) -> Measurement:
    """The measurement that `Measurement.to_json` wrote.

    Raises:
        ValueError: a key is missing.
    """
    try:
        return Measurement(
            device=values["device"],
            link=values["link"],
            latency_kind=values["latency_kind"],
            samples_s=tuple(values["samples_s"]),
            warmup=values["warmup"],
            instructions=values["instructions"],
            cycles=values["cycles"],
            stack_bytes=values["stack_bytes"],
            energy=Energy(values["energy_j"], values["energy_kind"], values["energy_meter"]),
            per_op=tuple(OpMeasurement(**op) for op in values["per_op"]),
            environment=Environment(**values["environment"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the measurement lacks or misspells a key ({error})") from error


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
            found[index] = _emulated(manifest, engine.name, counts)
        elif isinstance(engine, TimingEngine):
            prepared = [session.prepare(sample)[0] for sample in given]
            timed.append(_Timed(index, manifest, engine, prepared))
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
        return _native(self.manifest, self.engine.name, latencies, warmup, energy)


def _native(
    manifest: Manifest, engine: str, latencies: Sequence[float], warmup: int, energy: Energy
) -> Measurement:
    return Measurement(
        device=manifest.device,
        link=f"{engine}:",
        latency_kind=MEASURED,
        samples_s=tuple(latencies),
        warmup=warmup,
        instructions=None,
        cycles=None,
        stack_bytes=None,
        energy=energy,
        per_op=tuple(OpMeasurement(op.name, op.op) for op in manifest.ops),
        environment=environment(),
    )


def _emulated(manifest: Manifest, engine: str, counts: Counts) -> Measurement:
    profile = manifest.profile
    latency = modelled_latency(profile, counts.instructions)
    per_op: Sequence[int | None] = counts.per_op or [None] * len(manifest.ops)
    return Measurement(
        device=manifest.device,
        link=f"{engine}:",
        latency_kind=MODELLED,
        samples_s=() if latency is None else (latency,),
        warmup=0,
        instructions=counts.instructions,
        cycles=modelled_cycles(profile, counts.instructions),
        stack_bytes=counts.stack_bytes,
        energy=modelled_energy(profile, latency),
        per_op=tuple(
            OpMeasurement(op.name, op.op)
            if count is None
            else OpMeasurement(
                op.name,
                op.op,
                count,
                modelled_cycles(profile, count),
                modelled_latency(profile, count),
            )
            for op, count in zip(manifest.ops, per_op)
        ),
        environment=environment(),
    )
