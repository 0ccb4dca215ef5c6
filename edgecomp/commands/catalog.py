"""`edgecomp devices`, `targets` and `passes`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgecomp.device import Device, device_names, load_device
from edgecomp.target import load_target, target_names


@dataclass(frozen=True)
class DeviceList:
    """Every device profile that comes with edgecomp."""

    devices: tuple[Device, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """The profiles, shaped like their files."""
        return [device.to_json() for device in self.devices]


@dataclass(frozen=True)
class TargetEntry:
    """A target: its name, one line on it, and one line on each of its cores."""

    name: str
    summary: str
    cores: Mapping[str, str]


@dataclass(frozen=True)
class TargetList:
    """Every target."""

    targets: tuple[TargetEntry, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """The targets as plain values."""
        return [asdict(target) for target in self.targets]


@dataclass(frozen=True)
class OptionEntry:
    """An option of a pass: what it may be, in words, and its default as it is written."""

    name: str
    allowed: str
    default: str
    help: str


@dataclass(frozen=True)
class PassEntry:
    """A pass: its name, one line on it, and its options."""

    name: str
    summary: str
    options: tuple[OptionEntry, ...]


@dataclass(frozen=True)
class PassList:
    """Every pass."""

    passes: tuple[PassEntry, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """The passes as plain values."""
        return [asdict(each) for each in self.passes]


def list_devices() -> DeviceList:
    """Every device profile, by name."""
    return DeviceList(tuple(load_device(name) for name in device_names()))


def list_targets() -> TargetList:
    """Every target, by name."""
    targets = [load_target(name) for name in target_names()]
    return TargetList(tuple(TargetEntry(t.name, t.summary, dict(t.cores())) for t in targets))


def list_passes() -> PassList:
    """Every pass with its options."""
    from edgecomp.passes import describe
    from edgecomp.passes.options import format_value

    return PassList(
        tuple(
            PassEntry(
                each.name,
                each.summary,
                tuple(
                    OptionEntry(o.name, o.allowed, format_value(o.default), o.help)
                    for o in each.options
                ),
            )
            for each in describe()
        )
    )
