"""Imports files in a process of its own with limits, and says which broke a rule of the importer.

The rules: a file becomes a model or is refused with a sentence; within 5 s of processor time and
1 GiB; nothing outside its folder is read.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

SECONDS = 5.0
MEMORY_BYTES = 2**30
PATIENCE_SECONDS = 120.0
"""How long the process may take by the clock, on a machine busy with other things."""

GOOD = ("model", "refused")


@dataclass(frozen=True)
class Verdict:
    """What importing a file came to.

    Attributes:
        outcome: "model" or "refused", which are good; else which rule was broken.
        detail: the sentence or the traceback.
    """

    outcome: str
    detail: str

    @property
    def good(self) -> bool:
        """Whether the importer kept the rules."""
        return self.outcome in GOOD

    @property
    def signature(self) -> str:
        """The same for two files with the same fault: the outcome and where it arose."""
        frames = re.findall(r'File "([^"]*)", line (\d+)', self.detail)
        own = [f"{Path(file).name}:{line}" for file, line in frames if "edgecomp" in file]
        last = self.detail.strip().splitlines()[-1:] or [""]
        kind = last[0].partition(":")[0] if self.outcome == "raised" else ""
        return " ".join([self.outcome, kind, *(own[-1:] if kind else own[:1])]).strip()


class Judge:
    """A context manager that keeps one importing process, and starts another when it ends."""

    def __init__(
        self,
        importer: str = "edgecomp.importers:load",
        seconds: float = SECONDS,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._importer = importer
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._errors.close()

    def __call__(self, path: Path) -> Verdict:
        """Import the file at `path`."""
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(str(path)).encode() + b"\n")
        process.stdin.flush()
        line = self._answer()
        if line is None:
            return self._died(process)
        answer = json.loads(line)
        if answer["outcome"] in GOOD and answer["peak_bytes"] > self._memory_bytes:
            return Verdict("too much memory", f"{answer['peak_bytes']} bytes")
        return Verdict(answer["outcome"], answer["detail"])

    def _start(self) -> subprocess.Popen[bytes]:
        self._errors.seek(0)
        self._errors.truncate()
        self._answers, end = os.pipe()
        limits = [str(end), str(self._memory_bytes), str(self._seconds), self._importer]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzzing.worker", *limits],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            pass_fds=[end],
        )
        os.close(end)
        return self._process

    def _answer(self) -> bytes | None:
        """The next line of answers, or None when the process ended or took too long."""
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], PATIENCE_SECONDS)
            part = os.read(self._answers, 65536) if ready else b""
            if not part:
                return None
            line += part
        return line

    def _died(self, process: subprocess.Popen[bytes]) -> Verdict:
        try:
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            code = None
        self._stop()
        self._errors.seek(0)
        report = self._errors.read()[-20_000:].decode(errors="replace")
        if code is None:
            return Verdict("hung", report)
        if code == -signal.SIGPROF:
            return Verdict(f"more than {self._seconds:g} s", report)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Verdict(f"crashed ({name})", report)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        os.close(self._answers)
        self._process = None
