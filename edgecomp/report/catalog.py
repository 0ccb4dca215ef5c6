"""Reports of `devices`, `targets` and `passes`."""

from __future__ import annotations

from edgecomp.commands.catalog import DeviceList, PassList, TargetList
from edgecomp.report.tables import Lines, table
from edgecomp.report.units import bytes_text, clock_text


def device_lines(result: DeviceList) -> Lines:
    """Every device profile, a row each."""
    yield table(
        "",
        ("device", "description", "target", "core", "clock#", "flash#", "RAM#"),
        [
            (
                d.name,
                d.description,
                d.target,
                d.core,
                clock_text(d.clock_hz.value),
                bytes_text(d.memory.flash_bytes.value),
                bytes_text(d.memory.ram_bytes.value),
            )
            for d in result.devices
        ],
    )


def target_lines(result: TargetList) -> Lines:
    """Every target and its cores."""
    yield table(
        "",
        ("target", "core", "what it is"),
        [
            row
            for target in result.targets
            for row in [
                (target.name, "", target.summary),
                *(("", core, summary) for core, summary in target.cores.items()),
            ]
        ],
    )


def pass_lines(result: PassList) -> Lines:
    """Every pass and its options."""
    for each in result.passes:
        yield table(
            f"{each.name}: {each.summary}",
            ("option", "default", "what it may be", "what it does"),
            [(o.name, o.default or "empty", o.allowed, o.help) for o in each.options],
        )
