"""Frames of the bench firmware over a serial port; `transport_uart.c` has the other side.

The board sends a letter, uint32 number of bytes, little-endian, and those bytes. H: a magic number
and the rate of its timer; Q: so many bytes of the request may be sent now; D: bytes of the answer;
X: the answer is complete; E: a reason why not. The host sends SYNC until it sees H, then GO.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgecomp_runtime.errors import ArtifactError, InputError

BAUD = 115_200
SYNC, GO = b"\x16", b"\x06"
_HELLO = b"H\x08\0\0\0EDCB"
_SYNC_SECONDS = 0.25
_CHUNK = 4096


class BenchPort:
    """A board with bench firmware at the other end of a serial port.

    Args:
        path: of the port, as in /dev/ttyACM0.
        seconds: longest time without a byte while an answer is expected.

    Raises:
        InputError: the port cannot be opened, or pyserial is not installed.
    """

    def __init__(self, path: str, seconds: float = 60.0) -> None:
        self._path = path
        self._seconds = seconds
        self._port = _opened(path)
        self._unread = b""

    def ask(self, request: bytes, sync_seconds: float = 15.0) -> tuple[bytes, int]:
        """The answer to a request, and ticks of the board's timer in a second.

        Raises:
            InputError: no bench firmware answers, or it stops to.
            ArtifactError: the firmware failed; its own sentence.
        """
        with self._no_failure():
            timer_hz = self._greet(sync_seconds)
            self._port.timeout = self._seconds
            self._port.write(GO)
            return self._converse(request), timer_hz

    def close(self) -> None:
        """Give the port back."""
        self._port.close()

    @contextmanager
    def _no_failure(self) -> Iterator[None]:
        """Failures of the port as sentences."""
        try:
            yield
        except OSError as error:  # pyserial's are, too
            raise InputError(f"serial:{self._path}: the port failed ({error})") from error

    def _greet(self, seconds: float) -> int:
        """Send SYNC until the board says what it is; the rate of its timer."""
        self._port.reset_input_buffer()
        self._port.timeout = _SYNC_SECONDS
        heard, end = b"", time.monotonic() + seconds
        while time.monotonic() < end:
            self._port.write(SYNC)
            heard = (heard + self._port.read(len(_HELLO) + 4))[-_CHUNK:]
            start = heard.find(_HELLO) + len(_HELLO)
            if start >= len(_HELLO) and len(heard) >= start + 4:
                (rate,) = struct.unpack_from("<I", heard, start)
                self._unread = heard[start + 4 :]  # the answer to an earlier SYNC, or a part of it
                return int(rate)
        raise InputError(
            f"serial:{self._path}: no bench firmware answers; flash it with --flash-command, and "
            "reset the board"
        )

    def _converse(self, request: bytes) -> bytes:
        """Serve the board its request; what it answers."""
        answer, position = [], 0
        while True:
            kind, payload = self._frame()
            if kind == b"Q":
                (wanted,) = struct.unpack("<I", payload)
                self._port.write(request[position : position + wanted])
                position += wanted
            elif kind == b"D":
                answer.append(payload)
            elif kind == b"X":
                return b"".join(answer)
            elif kind == b"E":
                reason = " ".join(payload.decode("ascii", "replace").split())
                raise ArtifactError(f"serial:{self._path}: {reason}; reset the board")
            elif kind != b"H":  # what an earlier SYNC gave
                raise InputError(f"serial:{self._path}: the board sent {kind!r}, which is no frame")

    def _frame(self) -> tuple[bytes, bytes]:
        kind, header = self._read(1), self._read(4)
        return kind, self._read(struct.unpack("<I", header)[0])

    def _read(self, count: int) -> bytes:
        found, self._unread = self._unread[:count], self._unread[count:]
        found += bytes(self._port.read(count - len(found)))
        if len(found) < count:
            raise InputError(
                f"serial:{self._path}: the board was silent for {self._seconds:g} s; reset it"
            )
        return found


def _opened(path: str) -> Any:
    try:
        import serial
    except ImportError as error:
        raise InputError(
            "the link serial: needs pyserial; install it with: pip install pyserial"
        ) from error
    try:
        return serial.Serial(path, BAUD, exclusive=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"serial:{path}: the port cannot be opened ({reason})") from error
