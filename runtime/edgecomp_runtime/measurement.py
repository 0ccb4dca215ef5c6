"""What a measurement says, and how it is made of what an engine counted or timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgecomp_runtime.energy import (
    MEASURED,
    MODELLED,
    Energy,
    modelled_cycles,
    modelled_energy,
    modelled_latency,
)
from edgecomp_runtime.engines import BoardTimes, Counts
from edgecomp_runtime.host import Environment, environment
from edgecomp_runtime.manifest import Manifest

_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class OpMeasurement:
    """One call of the program; what was not measured or modelled is None.

    Attributes:
        name: the node's name in the user's file.
        op: the operator and what is fused into it.
        instructions: counted exactly by an emulator.
        cycles, latency_s: modelled from the instructions, or measured by a board.
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
        link: where it ran: "native:", "unicorn:", "qemu:", "serial:..." or "ssh://...".
        latency_kind: "measured" by a clock, or "modelled" from instructions and the profile.
        samples_s: seconds of every timed inference, in the order made; one number if modelled;
            empty if the profile cannot tell.
        warmup: inferences before the timed ones.
        instructions: of one inference, counted exactly by an emulator; None on real silicon.
        cycles: modelled from the instructions, or measured by a board; else None.
        stack_bytes: deepest stack an emulator or a board saw, or None.
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

    @property
    def cycles_kind(self) -> str | None:
        """Where the cycles come from: a board's timer, or instructions and the profile."""
        if self.cycles is None:
            return None
        return MODELLED if self.latency_kind == MODELLED else MEASURED

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, SI base units, null where a figure does not apply."""
        return {
            "device": self.device,
            "link": self.link,
            "instructions": self.instructions,
            "cycles": self.cycles,
            "cycles_kind": self.cycles_kind,
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


def of_latencies(
    manifest: Manifest, engine: str, latencies: Sequence[float], warmup: int, energy: Energy
) -> Measurement:
    """Of a program timed on this machine, in seconds."""
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


def of_board(manifest: Manifest, engine: str, times: BoardTimes) -> Measurement:
    """Of a program timed by a board; its timer runs at the clock of its core."""
    seconds = [ticks / times.timer_hz for ticks in times.ticks]
    per_op: Sequence[int | None] = times.per_op or [None] * len(manifest.ops)
    return Measurement(
        device=manifest.device,
        link=f"{engine}:",
        latency_kind=MEASURED,
        samples_s=tuple(seconds),
        warmup=0,
        instructions=None,
        cycles=float(np.median(times.ticks)),
        stack_bytes=times.stack_bytes,
        energy=modelled_energy(manifest.profile, float(np.median(seconds))),
        per_op=tuple(
            OpMeasurement(op.name, op.op)
            if ticks is None
            else OpMeasurement(op.name, op.op, None, float(ticks), ticks / times.timer_hz)
            for op, ticks in zip(manifest.ops, per_op)
        ),
        environment=environment(),
    )


def of_counts(manifest: Manifest, engine: str, counts: Counts) -> Measurement:
    """Of a program counted by an emulator: time and energy are modelled."""
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
