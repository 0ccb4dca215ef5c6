"""Facts of the machine this process runs on, from the kernel."""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")

# what the kernel calls a machine, to what a manifest calls it, for 64-bit and 32-bit processes
_ISA: Mapping[tuple[str, int], str] = {
    ("x86_64", 64): "x86_64",
    ("amd64", 64): "x86_64",
    ("aarch64", 64): "aarch64",
    ("arm64", 64): "aarch64",
    ("aarch64", 32): "armv7",  # a 32-bit userland on a 64-bit kernel, as on many Raspberry Pis
    ("armv8l", 32): "armv7",
    ("armv7l", 32): "armv7",
}

# a 64-bit Arm kernel does not name what every such processor has in 32-bit mode
_IMPLIED: Mapping[str, tuple[str, ...]] = {
    "asimd": ("neon", "vfp", "vfpv3", "vfpv4", "vfpd32", "half", "thumb", "idiva", "idivt"),
    "asimddp": ("dotprod",),
    "pni": ("sse3",),  # Linux spells SSE3 by its code name
    "abm": ("lzcnt",),
}


@dataclass(frozen=True)
class Environment:
    """What a measurement depends on beside the program.

    Attributes:
        machine: the processor architecture as the kernel calls it.
        cpu_model: name of the processor, or None when the kernel does not say.
        cpu_count: processors this process may use.
        kernel: name and release of the operating system.
        governor: frequency governor of the first processor, or None.
        clock_hz: its present clock in Hz, or None.
        temperature_c: the hottest thermal zone in degrees Celsius, or None.
        load: processes running, averaged over the last minute, or None.
    """

    machine: str
    cpu_model: str | None
    cpu_count: int
    kernel: str
    governor: str | None
    clock_hz: float | None
    temperature_c: float | None
    load: float | None


def host_isa() -> str:
    """The instruction set of this process as manifests spell it, or the kernel's own word."""
    machine = platform.machine().lower()
    return _ISA.get((machine, 8 * struct.calcsize("P")), machine)


def cpu_features(root: Path = ROOT) -> frozenset[str]:
    """The processor's features as /proc/cpuinfo under `root` spells them; empty if unreadable."""
    info = _cpuinfo(root)
    found = set(f"{info.get('flags', '')} {info.get('Features', '')}".split())
    for feature, implied in _IMPLIED.items():
        if feature in found:
            found.update(implied)
    return frozenset(found)


def environment(root: Path = ROOT) -> Environment:
    """What of the machine a measurement made now depends on, from /proc and /sys under `root`."""
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    return Environment(
        machine=platform.machine(),
        cpu_model=_cpu_model(root),
        cpu_count=len(os.sched_getaffinity(0)),
        kernel=f"{platform.system()} {platform.release()}",
        governor=read_text(cpufreq / "scaling_governor"),
        clock_hz=_clock_hz(root, cpufreq),
        temperature_c=_temperature_c(root),
        load=_first_number(read_text(root / "proc/loadavg")),
    )


def read_text(path: Path) -> str | None:
    """The stripped text of a small kernel file, or None when it is absent or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return None


def _cpuinfo(root: Path) -> dict[str, str]:
    """The lines `key: value` of /proc/cpuinfo; of repeated keys the first one's."""
    found: dict[str, str] = {}
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), value.strip())
    return found


def _cpu_model(root: Path) -> str | None:
    board = read_text(root / "proc/device-tree/model")
    info = _cpuinfo(root)
    return board or info.get("model name") or info.get("Model") or info.get("Hardware")


def _clock_hz(root: Path, cpufreq: Path) -> float | None:
    kilohertz = _first_number(read_text(cpufreq / "scaling_cur_freq"))
    if kilohertz is not None:
        return kilohertz * 1e3
    megahertz = _first_number(_cpuinfo(root).get("cpu MHz"))
    return None if megahertz is None else megahertz * 1e6


def _temperature_c(root: Path) -> float | None:
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*/temp"))
    readings = [_first_number(read_text(zone)) for zone in zones]
    known = [reading / 1000 for reading in readings if reading is not None]
    return max(known) if known else None


def _first_number(text: str | None) -> float | None:
    try:
        return float((text or "").split()[0])
    except (IndexError, ValueError):
        return None
