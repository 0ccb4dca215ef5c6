"""Device profiles: what a board is and can do, read from `devices/*.toml`."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.host import host_core
from edgecomp.target import load_target, target_names

HOST_CORE = "host"
"""What `core` says in a profile that means the machine the compiler runs on."""

LINKS = {
    "local": "runs on the machine the compiler runs on",
    "ssh": "reached through ssh",
    "serial": "reached through a serial port",
    "emulator": "exists in an emulator alone",
}


@dataclass(frozen=True)
class Quantity:
    """A number in SI base units (bytes for sizes) and the document or reasoning it comes from.

    `value` is infinite where the device sets no limit.
    """

    value: float
    source: str


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes a program may use; of memory in several banks, the contiguous region it is put in."""

    flash_bytes: Quantity = field(metadata={"may_be_infinite": True})
    ram_bytes: Quantity = field(metadata={"may_be_infinite": True})


@dataclass(frozen=True)
class Power:
    """Watts while one core computes, and while it waits; the source says what is supplied by it."""

    active_w: Quantity
    idle_w: Quantity


@dataclass(frozen=True)
class Timing:
    """What turns an exact count of instructions into a modelled time."""

    cycles_per_instruction: Quantity


@dataclass(frozen=True)
class Emulator:
    """How QEMU stands in for the device.

    Attributes:
        qemu_machine: board of qemu-system-arm that has the device's core.
        qemu_cpu: processor of qemu-user.
    """

    qemu_machine: str = ""
    qemu_cpu: str = ""


@dataclass(frozen=True)
class Serial:
    """How a program is measured through a serial port.

    Attributes:
        board: what the target's bench firmware calls the board; empty where it knows none.
    """

    board: str = ""


@dataclass(frozen=True)
class Device:
    """A device profile; the fields are the keys of the TOML file.

    Attributes:
        name: what `--device` takes.
        description: the board, its chip and its cores, in one line.
        target: the target that compiles for it.
        core: one of that target's cores.
        link: how a program gets there, a key of `LINKS`.
        clock_hz: the clock of the core that runs the program.
        memory: bytes of flash and RAM.
        power: watts.
        timing: cycles an instruction takes.
        emulator: what stands in for it, if anything does.
        serial: how a board is measured.
    """

    name: str
    description: str
    target: str
    core: str
    link: str
    clock_hz: Quantity
    memory: DeviceMemory
    power: Power
    timing: Timing
    emulator: Emulator = Emulator()
    serial: Serial = Serial()

    def to_json(self) -> dict[str, Any]:
        """The profile as plain JSON values, shaped like the TOML file; no limit becomes null."""
        values: dict[str, Any] = _finite(asdict(self))
        return values


def device_names() -> list[str]:
    """The name of every profile that comes with edgecomp, sorted."""
    return sorted(path.stem for path in devices_folder().glob("*.toml"))


def devices_folder() -> Path:
    """The folder of profiles: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "devices"
    return installed if installed.is_dir() else package.parent / "devices"


def load_device(name_or_path: str | Path) -> Device:
    """The profile called `name_or_path`, or the one in that file when it ends in `.toml`.

    Raises:
        EdgecompError: there is none, or the file has mistakes; every mistake is named.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        name = str(name_or_path)
        _check_known(name)
        path = devices_folder() / f"{name}.toml"
    return parse_device(_read_toml(path), str(path))


def parse_device(values: Mapping[str, Any], where: str) -> Device:
    """The device that the TOML `values` of the file `where` describe, `core = "host"` resolved.

    Raises:
        EdgecompError: keys are unknown, missing or of the wrong kind, numbers lack a source, or
            there is no such target, core or link.
    """
    reasons: list[Reason] = []
    if values.get("core") == HOST_CORE:
        values = {**values, "core": host_core()}
    device = _read_table(Device, values, where, "", reasons)
    reasons += _unknown_choices(values, where)
    raise_if_any(reasons)
    assert isinstance(device, Device)
    return device


def _check_known(name: str) -> None:
    names = device_names()
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=3)
    fix = f"did you mean {' or '.join(near)}? " if near else ""
    raise EdgecompError(
        Reason(
            f"there is no device {name!r}",
            fix=f"{fix}`edgecomp devices` lists them, and a path ending in .toml names your own",
        )
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EdgecompError(
            Reason(
                f"the device profile cannot be read ({error.strerror})",
                where=str(path),
                fix="name a TOML file that exists",
            )
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgecompError(
            Reason(f"this is not TOML ({error})", where=str(path), fix="correct the file")
        ) from error


def _read_table(
    cls: type, values: Mapping[str, Any], where: str, prefix: str, reasons: list[Reason]
) -> object | None:
    """The `cls` that a TOML table describes, or None with its mistakes added to `reasons`."""
    known = {f.name: f for f in fields(cls)}
    for key in values:
        if key not in known:
            keys = ", ".join(known)
            reasons.append(
                _mistake(where, prefix + key, "is not a key of a profile", f"use {keys}")
            )
    hints = get_type_hints(cls)
    arguments: dict[str, object | None] = {}
    for key, of_class in known.items():
        if key in values:
            full = prefix + key
            arguments[key] = _read_value(hints[key], of_class, values[key], where, full, reasons)
        elif of_class.default is MISSING:
            reasons.append(_mistake(where, prefix + key, "is missing", "add it"))
            arguments[key] = None
    return None if None in arguments.values() else cls(**arguments)


def _read_value(
    kind: type, of_class: Field[Any], value: Any, where: str, key: str, reasons: list[Reason]
) -> object | None:
    if kind is str:
        if isinstance(value, str) and value:
            return value
        reasons.append(_mistake(where, key, "is not a text", f'write {key} = "..."'))
        return None
    if kind is Quantity:
        mistake = _quantity_mistake(value, bool(of_class.metadata.get("may_be_infinite")))
        if not mistake:
            return Quantity(value["value"], value["source"])
        form = '{ value = NUMBER, source = "document, section" }'
        reasons.append(_mistake(where, key, mistake, f"write {key} = {form}"))
        return None
    assert is_dataclass(kind)
    if isinstance(value, Mapping):
        return _read_table(kind, value, where, f"{key}.", reasons)
    reasons.append(_mistake(where, key, "is not a table", f"write a section [{key}]"))
    return None


def _quantity_mistake(table: Any, may_be_infinite: bool) -> str:
    """What is wrong with the table of a number, or nothing."""
    if isinstance(table, int | float):
        return "is a number without a source"
    if not isinstance(table, Mapping) or set(table) - {"value", "source"}:
        return "is not a table of a value and a source"
    value, source = table.get("value"), table.get("source")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "has no number as its value"
    if not value > 0 or (math.isinf(value) and not may_be_infinite):
        return f"has the value {value}, and it is a positive, finite number"
    if not isinstance(source, str) or not source.strip():
        return "is a number without a source"
    return ""


def _unknown_choices(values: Mapping[str, Any], where: str) -> list[Reason]:
    """What is wrong with the target, core and link that `values` name."""
    reasons = []
    target, core, link = (values.get(key) for key in ("target", "core", "link"))
    if isinstance(link, str) and link not in LINKS:
        reasons.append(_not_one_of(where, "link", link, LINKS))
    if isinstance(target, str) and target not in target_names():
        reasons.append(_not_one_of(where, "target", target, target_names()))
    elif isinstance(target, str) and isinstance(core, str):
        cores = load_target(target).cores()
        if core not in cores:
            reasons.append(_not_one_of(where, "core", core, cores))
    return reasons


def _not_one_of(where: str, key: str, value: str, choices: Any) -> Reason:
    return _mistake(where, key, f"is {value!r}", f"choose one of {', '.join(choices)}")


def _mistake(where: str, key: str, what: str, fix: str) -> Reason:
    return Reason(f"the key {key} {what}", where=where, fix=fix)


def _finite(value: Any) -> Any:
    """`value` with every infinite number replaced by None: JSON has none."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value
