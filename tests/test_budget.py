"""A program that does not fit is refused with both numbers and what takes the room."""

from __future__ import annotations

from dataclasses import replace

from edgecomp.budget import bytes_at, check_budget
from edgecomp.device import Device, DeviceMemory, Power, Quantity, Timing
from edgecomp_runtime.manifest import BufferRecord, Flash, Memory, OpRecord

BUFFERS = (
    BufferRecord("image", 0, 3_000, 0, 0),
    BufferRecord("features", 3_000, 9_000, 0, 1),
    BufferRecord("pooled", 12_000, 5_000, 1, 2),
    BufferRecord("scores", 0, 10, 2, 2),
)
OPS = tuple(
    OpRecord(name, "Conv", name, 0, "integer", size)
    for name, size in (("stem", 100), ("relu", 0), ("head", 60_000))
)


def a_device(flash: float, ram: float) -> Device:
    number = Quantity(1.0, "made up")
    memory = DeviceMemory(Quantity(flash, "made up"), Quantity(ram, "made up"))
    power, timing = Power(number, number), Timing(number)
    return Device("board", "", "cortex_m", "cortex_m4", "serial", number, memory, power, timing)


def needs(ram: int = 15_000, flash: int = 70_000) -> tuple[Flash, Memory]:
    return Flash(flash, 60_100, flash - 60_100), Memory(14_000, 16, 0, 1_000, ram, BUFFERS)


def test_a_program_that_fits_exactly_is_accepted() -> None:
    flash, memory = needs()
    assert check_budget(a_device(70_000, 15_000), flash, memory, OPS, ram_limit=15_000) == []


def test_a_device_without_limits_accepts_everything() -> None:
    flash, memory = needs()
    assert check_budget(a_device(float("inf"), float("inf")), flash, memory, OPS) == []


def test_both_memories_exceeded_give_two_reasons_with_the_largest_contributors() -> None:
    flash, memory = needs()
    of_flash, of_ram = (str(r) for r in check_budget(a_device(65_536, 8_192), flash, memory, OPS))
    assert "70,000 bytes of flash" in of_flash
    assert "has 65,536 bytes" in of_flash
    assert "4,464 too many" in of_flash
    assert [line.split() for line in of_flash.splitlines()[2:]] == [
        ["60,000", "head", "(Conv)"],
        ["100", "stem", "(Conv)"],
    ]
    assert "15,000 bytes of RAM" in of_ram
    assert "has 8,192 bytes" in of_ram
    assert "6,808 too many" in of_ram
    assert "--ram 8192" in of_ram
    assert [line.strip() for line in of_ram.splitlines()[2:]] == [
        "14,000  relu (Conv): features 9,000, pooled 5,000",
        "12,000  stem (Conv): features 9,000, image 3,000",
        "5,010  head (Conv): pooled 5,000, scores 10",
    ]


def test_the_limit_the_user_gives_is_checked_though_the_device_has_more() -> None:
    flash, memory = needs()
    (reason,) = check_budget(a_device(1e6, 1e6), flash, memory, OPS, ram_limit=10_000)
    assert str(reason).startswith("--ram: ")
    assert "10,000 bytes are allowed: 5,000 too many" in str(reason)
    assert "this is the least found" in str(reason)
    turned = [replace(op, op="Transpose") for op in OPS]
    (reason,) = check_budget(a_device(1e6, 1e6), flash, memory, turned, ram_limit=10_000)
    assert "--input-layout nhwc" in reason.fix


def test_bytes_that_buffers_share_count_once() -> None:
    over = BufferRecord("sum", 2_000, 3_000, 0, 0)
    assert bytes_at((*BUFFERS[:1], over), 0) == 5_000
    assert bytes_at((), 0) == 0
