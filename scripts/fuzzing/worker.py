"""The process that imports hostile files: reads paths from standard input, answers in JSON lines.

Its arguments: the file descriptor to answer on, bytes of memory, seconds of processor time for each
file, and the importer as `module:function`. A file that needs more ends the process, as a crash of
native code does; the traceback goes to standard error.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from edgecomp.errors import EdgecompError

_READABLE = tuple(str(Path(place).resolve()) for place in (sys.prefix, sys.base_prefix, "/usr/lib"))
_FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")
_PROJECT = str(Path(sys.modules["edgecomp"].__path__[0]).resolve().parent)


class Watch:
    """An audit hook that remembers what is opened outside the model's folder."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folder is None:
            return
        if event in _FORBIDDEN:
            self.seen.append(f"{event} {arguments[0]!r}")
        elif event in ("open", "os.listdir", "os.scandir"):
            folder, self.folder = self.folder, None  # resolving raises events of its own
            path = arguments[0]
            if isinstance(path, (str, bytes, os.PathLike)) and not self._may_read(path, folder):
                self.seen.append(f"{event} {os.fsdecode(path)!r}")
            self.folder = folder

    @staticmethod
    def _may_read(path: str | bytes | os.PathLike[str], folder: Path) -> bool:
        place = os.path.realpath(os.fsdecode(path))
        if Path(place).is_relative_to(folder):
            return True
        source = place.startswith(_PROJECT) and place.endswith((".py", ".pyc"))
        return source or place.startswith(_READABLE)


def judge(load: Callable[[Path], object], path: Path, watch: Watch) -> dict[str, object]:
    """What importing `path` comes to: its outcome, and the details of a wrong one."""
    watch.seen.clear()
    watch.folder = path.parent.resolve()
    try:
        load(path)
        outcome, detail = "model", ""
    except EdgecompError as error:
        outcome, detail = "refused", str(error)
        if not detail.strip() or "Traceback" in detail:
            outcome, detail = "no sentence", repr(detail)
    except BaseException as error:
        watch.folder = None  # formatting reads source files
        outcome, detail = "raised", "".join(traceback.format_exception(error))
    finally:
        watch.folder = None
    if watch.seen and outcome != "raised":
        outcome, detail = "read outside", "; ".join(watch.seen)
    return {"outcome": outcome, "detail": detail, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    """The most memory this process has held since `_forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    answers, memory_bytes, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    module, _, function = sys.argv[4].partition(":")
    load = getattr(importlib.import_module(module), function)
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)
    watch = Watch()
    sys.addaudithook(watch)
    # what libraries allocate when they are loaded is not the model's
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limit = used + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with os.fdopen(answers, "w") as stream:
        for line in sys.stdin:
            _forget_peak()
            signal.setitimer(signal.ITIMER_PROF, seconds)
            answer = judge(load, Path(json.loads(line)), watch)
            signal.setitimer(signal.ITIMER_PROF, 0)
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


if __name__ == "__main__":
    main()
