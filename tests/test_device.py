"""Device profiles: those that come with edgecomp, a user's own, and every mistake named at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from edgecomp import host
from edgecomp.device import Quantity, device_names, devices_folder, load_device
from edgecomp.errors import EdgecompError

PROFILE = """
name = "mine"
description = "my board"
target = "cortex_m"
core = "cortex_m4"
link = "serial"
clock_hz = { value = 80_000_000, source = "datasheet, Features" }
[memory]
flash_bytes = { value = 262_144, source = "datasheet, Features" }
ram_bytes = { value = 65_536, source = "datasheet, Memory map" }
[power]
active_w = { value = 0.02, source = "estimate: like its sister" }
idle_w = { value = 0.001, source = "estimate: like its sister" }
[timing]
cycles_per_instruction = { value = 1.5, source = "estimate: like its sister" }
"""


def quantities(value: object) -> Iterator[Quantity]:
    """Every quantity in a profile."""
    if isinstance(value, Quantity):
        yield value
    elif is_dataclass(value):
        for of_class in fields(value):
            yield from quantities(getattr(value, of_class.name))


def mistakes(folder: Path, text: str) -> list[str]:
    """The sentences that loading a profile of this text raises."""
    path = folder / "mine.toml"
    path.write_text(text)
    with pytest.raises(EdgecompError) as raised:
        load_device(path)
    return [str(reason) for reason in raised.value.reasons]


@pytest.mark.parametrize("name", device_names())
def test_every_profile_loads_and_each_number_has_a_source(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    assert all(q.value > 0 and len(q.source) > 10 for q in quantities(device))
    assert device.power.idle_w.value < device.power.active_w.value
    assert json.loads(json.dumps(device.to_json(), allow_nan=False))["clock_hz"]["source"]


def test_a_profile_for_each_board_of_the_readme_exists() -> None:
    assert {"host", "raspberrypi_4b", "nucleo_l4r5zi", "corstone_300"} <= set(device_names())


def test_a_users_own_profile_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE)
    device = load_device(str(path))
    assert (device.name, device.core) == ("mine", "cortex_m4")
    assert device.memory.ram_bytes == Quantity(65_536, "datasheet, Memory map")
    assert device.emulator.qemu_machine == ""


def test_no_limit_becomes_null_in_json() -> None:
    device = load_device("host")
    assert math.isinf(device.memory.ram_bytes.value)
    assert device.to_json()["memory"]["ram_bytes"]["value"] is None


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = (
        PROFILE.replace("clock_hz = {", "clock_mhz = {")
        .replace('{ value = 65_536, source = "datasheet, Memory map" }', "65_536")
        .replace("value = 0.02,", 'value = "20 mW",')
        .replace("value = 0.001,", "value = -1,")
        .replace('"serial"', '"carrier pigeon"')
        .replace('"cortex_m4"', '"cortex_m99"')
    )
    found = "\n".join(mistakes(tmp_path, text))
    assert len(found.splitlines()) == 7
    assert "the key clock_mhz is not a key of a profile" in found
    assert "the key clock_hz is missing" in found
    assert "the key memory.ram_bytes is a number without a source" in found
    assert "the key power.active_w has no number as its value" in found
    assert "the key power.idle_w has the value -1" in found
    assert "the key link is 'carrier pigeon'; choose one of local, ssh" in found
    assert "the key core is 'cortex_m99'; choose one of" in found
    assert found.count("mine.toml: ") == 7


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('target = "cortex_m"', 'target = "abacus"', "the key target is 'abacus'; choose one of"),
        ('name = "mine"', "name = 3", 'the key name is not a text; write name = "..."'),
        ("[timing]", "[timings]", "the key timing is missing"),
        ('source = "datasheet, Memory map"', 'source = ""', "is a number without a source"),
        ("value = 80_000_000", "value = inf", "has the value inf"),
        ("[memory]", "memory = 3\n[other]", "the key memory is not a table"),
        ("[memory]", "[memory", "this is not TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert sentence in "\n".join(mistakes(tmp_path, PROFILE.replace(old, new)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EdgecompError, match=r"absent\.toml: the device profile cannot be read"):
        load_device(tmp_path / "absent.toml")


def test_an_unknown_name_gets_the_nearest_ones() -> None:
    with pytest.raises(EdgecompError, match="did you mean raspberrypi_4b"):
        load_device("raspberry_4b")


def test_profiles_are_found_in_a_checkout() -> None:
    assert (devices_folder() / "host.toml").is_file()


@pytest.mark.parametrize(
    ("machine", "flags", "core"),
    [
        ("x86_64", {"avx2", "fma", "bmi2", "sse4_2"}, "x86_64_v3"),
        ("x86_64", {"avx2", "fma", "sse4_2"}, "x86_64_v2"),
        ("aarch64", set(), "generic_aarch64"),
    ],
)
def test_the_core_of_the_host(machine: str, flags: set[str], core: str) -> None:
    assert host.core_of(machine, flags) == core


def test_another_host_is_refused() -> None:
    with pytest.raises(EdgecompError, match="riscv64"):
        host.core_of("riscv64", frozenset())


def test_the_flags_are_read_from_cpuinfo() -> None:
    assert host.cpu_flags("model\t: 7\nflags\t\t: sse avx2\n\nflags\t\t: x\n") == {"sse", "avx2"}
    assert host.cpu_flags("CPU implementer : 0x41\n") == frozenset()
