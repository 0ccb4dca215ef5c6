"""Bench firmware over a real tty: QEMU's boards with their serial port at a pseudo-terminal."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import numpy_helper, parser

from edgecomp.commands.flash import flash
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers.onnx import normalise
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import Artifact, open_artifact, write_artifact
from edgecomp_runtime.engines.qemu import QemuEngine
from edgecomp_runtime.engines.serial import SerialEngine
from edgecomp_runtime.engines.serial_port import BenchPort
from edgecomp_runtime.errors import ArtifactError, InputError

Array = npt.NDArray[Any]
# The machine, and how many of its serial ports come before the one used. The STM32F405 of the
# Netduino Plus 2 has the serial port, the timer and the memory map of an STM32F446.
BOARDS: Mapping[str, tuple[str, int]] = {
    "qemu_mps2_an386": ("mps2-an386", 0),
    "qemu_mps2_an505": ("mps2-an505", 0),
    "qemu_mps3_an547": ("mps3-an547", 0),
    "nucleo_f446re": ("netduinoplus2", 1),
}
RATES = {"nucleo_f446re": 1_000_000_000}
"""Where the emulator's timer has another rate than the board's."""
MODEL = """
<ir_version: 10, opset_import: ["" : 21]>
two (float[1,64] x) => (float[1,64] y)
{
    a = Mul (x, x)
    b = Softmax <axis = -1> (a)
    y = MatMul (b, weights)
}
"""
CLOCK_SHIFT = 8


@dataclass(frozen=True)
class Programs:
    """An artifact as compiled, and with the firmware for a serial port."""

    compiled: Artifact
    flashed: Artifact


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Programs]:
    """A small program for a device."""
    proto = parser.parse_model(MODEL)
    weights = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "weights"))
    model = normalise(proto, {}, {}, "two")
    made: dict[str, Programs] = {}

    def make(device: str) -> Programs:
        if device not in made:
            path = tmp_path_factory.mktemp(device) / "two.edge"
            compile_model(model, load_device(device), path)
            flashed = flash(path, None, tmp_path_factory.mktemp("work"))
            made[device] = Programs(open_artifact(path), open_artifact(flashed))
        return made[device]

    return make


@contextmanager
def board(artifact: Artifact, device: str, folder: Path) -> Iterator[str]:
    """Boot the artifact's firmware; the link to it."""
    machine, skipped = BOARDS[device]
    (folder / "firmware.elf").write_bytes(artifact.read(artifact.manifest.program))
    command = ["qemu-system-arm", "-machine", machine, "-icount", f"shift={CLOCK_SHIFT}"]
    command += ["-nographic", "-monitor", "none", *["-serial", "null"] * skipped]
    command += ["-serial", "pty", "-kernel", str(folder / "firmware.elf")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = re.search(r"/dev/pts/\d+", process.stdout.readline())
            assert port is not None
            yield f"serial:{port[0]}"
        finally:
            process.kill()


def _inputs() -> list[Array]:
    return [np.random.default_rng(2).normal(size=(1, 64)).astype(np.float32)]


@pytest.mark.parametrize("device", BOARDS)
def test_a_board_gives_the_bits_and_says_how_long_it_took(
    device: str, programs: Callable[[str], Programs], tmp_path: Path
) -> None:
    both = programs(device)
    samples = [_inputs(), [2 * _inputs()[0]]]
    with board(both.flashed, device, tmp_path) as link:
        engine = SerialEngine(both.flashed, link)
        outputs = engine.run_batch(samples)
        times = engine.times(samples[:1] * 3)
        engine.close()
    reference = QemuEngine(both.compiled)
    for found, expected in zip(outputs, reference.run_batch(samples), strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
    counts = reference.count(samples[0])
    assert times.stack_bytes == counts.stack_bytes
    assert len(set(times.ticks)) == 1
    rate = RATES.get(device, times.timer_hz)
    counted = [_instructions(ticks, rate) for ticks in (times.ticks[0], *times.per_op)]
    # the return of what is taken off is in the count
    assert [count + 1 for count in counted] == [counts.instructions, *counts.per_op]


def _instructions(ticks: int, timer_hz: int) -> int:
    """Of an emulated board, whose clock advances by each."""
    return round(ticks * 1e9 / (timer_hz << CLOCK_SHIFT))


def test_the_second_artifact_does_not_fit_the_first_ones_board(
    programs: Callable[[str], Programs], tmp_path: Path
) -> None:
    flashed = programs("qemu_mps2_an386").flashed
    manifest = flashed.manifest
    longer = replace(manifest.outputs[0], shape=(1, 65))
    other = replace(flashed, manifest=replace(manifest, outputs=(longer,)))
    with board(flashed, "qemu_mps2_an386", tmp_path) as link:
        engine = SerialEngine(other, link)
        with pytest.raises(ArtifactError, match="the firmware wrote 268 bytes, not 272"):
            engine.run(_inputs())
        engine.close()


def test_a_port_without_a_board_is_told(programs: Callable[[str], Programs]) -> None:
    flashed = programs("qemu_mps2_an386").flashed
    with pytest.raises(InputError, match="serial:/dev/nothing: the port cannot be opened"):
        SerialEngine(flashed, "serial:/dev/nothing")
    _, silent = os.openpty()
    engine = SerialEngine(flashed, f"serial:{os.ttyname(silent)}")
    with pytest.raises(InputError, match="no bench firmware answers; flash it"):
        engine._port.ask(b"", sync_seconds=0.5)
    engine.close()


def test_frames_in_pieces_and_a_failure_of_the_firmware() -> None:
    """The board answers two SYNCs, and then says what is wrong."""
    master, slave = os.openpty()
    hello = b"H\x08\0\0\0EDCB" + struct.pack("<I", 25_000_000)
    failure = b"E" + struct.pack("<I", 23) + b"the core faulted at 0x0"

    def answer() -> None:
        os.read(master, 1)
        os.write(master, hello + hello[:3])
        os.write(master, hello[3:] + failure)

    port = BenchPort(os.ttyname(slave))
    board_side = threading.Thread(target=answer)
    board_side.start()
    with pytest.raises(ArtifactError, match=r": the core faulted at 0x0; reset the board"):
        port.ask(b"")
    board_side.join()
    port.close()


def test_a_device_without_a_board_of_the_firmware_is_told(
    programs: Callable[[str], Programs], tmp_path: Path
) -> None:
    compiled = programs("qemu_mps2_an386").compiled
    profile = {**compiled.manifest.profile, "serial": {"board": ""}}
    path = tmp_path / "two.edge"
    write_artifact(path, replace(compiled.manifest, profile=profile), compiled.files)
    with pytest.raises(EdgecompError, match="names no board the bench firmware knows; compile"):
        flash(path, None, tmp_path)
