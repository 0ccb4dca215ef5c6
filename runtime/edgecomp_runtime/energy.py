"""Energy of one inference: measured where the machine has a meter, else modelled and called so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecomp_runtime.host import ROOT, read_text

MEASURED = "measured"
MODELLED = "modelled"
_POWERCAP = "sys/class/powercap"
_MEASURE_SECONDS = 0.5  # RAPL counters move about once a millisecond


@dataclass(frozen=True)
class Energy:
    """Energy of one inference.

    Attributes:
        joules: joules, or None when there is neither a meter nor a time to model from.
        kind: "measured" or "modelled".
        meter: what it comes from.
    """

    joules: float | None
    kind: str
    meter: str

    def __str__(self) -> str:
        amount = "unknown" if self.joules is None else f"{self.joules:.3g} J"
        return f"{amount} ({self.kind}, {self.meter})"


@dataclass(frozen=True)
class _Zone:
    """One RAPL counter: microjoules in a file, back to 0 after `limit`."""

    counter: Path
    limit: int

    def read(self) -> int:
        return int(self.counter.read_text())

    def spent(self, before: int, after: int) -> int:
        """Microjoules between two readings that are less than one turn of the counter apart."""
        return (after - before) % (self.limit + 1)


@dataclass(frozen=True)
class RaplMeter:
    """The processor's own energy counters (Intel and AMD RAPL, through Linux powercap).

    It counts all that the processor packages do meanwhile, idle power and other programs
    included, and nothing outside of them but, on some, their memory controllers.
    """

    zones: tuple[_Zone, ...]
    name = "rapl"

    @staticmethod
    def find(root: Path = ROOT) -> RaplMeter | None:
        """The meter under `root`, or None when there is none or it may not be read.

        Most systems let only the superuser read the counters.
        """
        zones = []
        for folder in sorted((root / _POWERCAP).glob("intel-rapl:*")):
            is_package = (read_text(folder / "name") or "").startswith("package")
            limit = read_text(folder / "max_energy_range_uj")
            now = read_text(folder / "energy_uj")
            if is_package and (limit or "").isdigit() and (now or "").isdigit():
                zones.append(_Zone(folder / "energy_uj", int(limit or 0)))
        return RaplMeter(tuple(zones)) if zones else None

    def joules(self, work: Callable[[], object]) -> float:
        """Joules the packages spend while `work` runs."""
        before = [zone.read() for zone in self.zones]
        work()
        after = [zone.read() for zone in self.zones]
        spent = (zone.spent(*pair) for zone, *pair in zip(self.zones, before, after))
        return sum(spent) * 1e-6


def measured_energy(
    meter: RaplMeter, work: Callable[[], object], seconds: float = _MEASURE_SECONDS
) -> Energy:
    """Energy of one `work`, from repeating it for at least `seconds`."""
    rounds = 0

    def repeat() -> None:
        nonlocal rounds
        end = time.monotonic() + seconds
        while rounds == 0 or time.monotonic() < end:
            work()
            rounds += 1

    joules = meter.joules(repeat)
    return Energy(joules / rounds, MEASURED, meter.name)


def modelled_energy(profile: Mapping[str, Any], latency_s: float | None) -> Energy:
    """Energy as the device profile's active power times the time of an inference.

    Args:
        profile: `manifest.profile`.
        latency_s: seconds of one inference, measured or modelled; None when not known.
    """
    watts = quantity(profile, "power", "active_w")
    joules = None if watts is None or latency_s is None else watts * latency_s
    return Energy(joules, MODELLED, "active power of the device profile x latency")


def modelled_cycles(profile: Mapping[str, Any], instructions: int) -> float | None:
    """Cycles that the device profile's cycles per instruction make of `instructions`."""
    ratio = quantity(profile, "timing", "cycles_per_instruction")
    return None if ratio is None else instructions * ratio


def modelled_latency(profile: Mapping[str, Any], instructions: int) -> float | None:
    """Seconds that the device profile's clock makes of the modelled cycles."""
    cycles = modelled_cycles(profile, instructions)
    clock = quantity(profile, "clock_hz")
    return None if cycles is None or not clock else cycles / clock


def quantity(profile: Mapping[str, Any], *keys: str) -> float | None:
    """The value of one number of a device profile, or None when the profile has none."""
    table: Any = profile
    for key in (*keys, "value"):
        table = table.get(key) if isinstance(table, Mapping) else None
    return None if table is None else float(table)
