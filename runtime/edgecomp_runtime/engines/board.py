"""Boots bench firmware on a board that QEMU emulates, and reads what it measured."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgecomp_runtime.elf import Elf
from edgecomp_runtime.errors import ArtifactError, InputError

COMMAND = "qemu-system-arm"
# With `-icount shift=N` the board's clock advances 2**N ns for each instruction. With 8, one
# instruction is more than five ticks of the slowest board's timer (20 MHz), so that the at most
# two ticks lost in four readings cannot change the rounded number of instructions.
_CLOCK_SHIFT = 8


@dataclass(frozen=True)
class Board:
    """What an image says of the board it is for.

    Attributes:
        machine: QEMU's name of the board.
        timer_hz: rate of the timer the firmware reads.
    """

    machine: str
    timer_hz: int

    def instructions(self, ticks: int) -> int:
        """Instructions executed while the timer ticked `ticks` times."""
        return round(ticks * 1e9 / (self.timer_hz << _CLOCK_SHIFT))


def board_of(elf: Elf) -> Board:
    """The board that bench firmware is for, from constants in its image.

    Raises:
        ValueError: the image is no bench firmware.
    """
    machine, rate = elf.symbol("bench_machine"), elf.symbol("bench_timer_hz")
    return Board(
        machine=elf.read(machine.address, machine.bytes).rstrip(b"\0").decode("ascii"),
        timer_hz=int.from_bytes(elf.read(rate.address, 4), "little"),
    )


def find_emulator() -> str:
    """Path of QEMU.

    Raises:
        InputError: it is not installed.
    """
    command = shutil.which(COMMAND)
    if command is None:
        raise InputError(f"{COMMAND} is not installed: install the Debian package qemu-system-arm")
    return command


def boot(command: str, board: Board, image: bytes, request: bytes, seconds: float) -> bytes:
    """Boot `image` in a folder of its own and wait for its end.

    Args:
        command: path of QEMU.
        board: of the image.
        image: the firmware, an ELF file.
        request: the file `edgecomp.in` it reads.
        seconds: longest time it may take.

    Returns:
        The file `edgecomp.out` it wrote.

    Raises:
        ArtifactError: the firmware failed or did not end in time; the sentence lacks the file.
    """
    with tempfile.TemporaryDirectory(prefix="edgecomp-") as name:
        folder = Path(name)
        (folder / "firmware.elf").write_bytes(image)
        (folder / "edgecomp.in").write_bytes(request)
        try:
            # on any exception, an interrupt included, run() kills the process and waits
            done = subprocess.run(
                _arguments(command, board),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ArtifactError(
                f"the program did not end in {seconds:g} s on the emulated board {board.machine}"
            ) from None
        if done.returncode != 0:
            said = " ".join((done.stderr + done.stdout).split()) or "nothing"
            raise ArtifactError(
                f"{COMMAND} ended with status {done.returncode} on the board {board.machine} "
                f"and said: {said}"
            )
        return (folder / "edgecomp.out").read_bytes()


def _arguments(command: str, board: Board) -> list[str]:
    return [
        command,
        *("-machine", board.machine),
        *("-icount", f"shift={_CLOCK_SHIFT}"),
        *("-semihosting-config", "enable=on,target=native"),
        *("-nographic", "-monitor", "none", "-serial", "none"),
        *("-kernel", "firmware.elf"),
    ]
