"""Bring the bench firmware of an artifact onto a board."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

from edgecomp.errors import EdgecompError, Reason
from edgecomp.target import FlashedTarget, load_target
from edgecomp_runtime.artifact import open_artifact, write_artifact

IMAGE = "{elf}"
"""What a command has in place of the path of the image."""
_SECONDS = 300


def flash(path: Path, command: str | None, work: Path) -> Path:
    """Build the firmware of the artifact at `path` and run `command` on it.

    Args:
        path: the artifact.
        command: what flashes a board, with `IMAGE` for the path of the ELF image; None where the
            board has the firmware already.
        work: an empty folder.

    Returns:
        The artifact with that firmware as its program, in `work`.

    Raises:
        EdgecompError: the program is for no board with a serial port, or the command failed.
        ArtifactError: the artifact cannot be read.
    """
    artifact = open_artifact(path)
    manifest = artifact.manifest
    target = load_target(manifest.target)
    if not isinstance(target, FlashedTarget):
        raise EdgecompError(
            Reason(
                f"a program for {manifest.device} is not flashed",
                str(path),
                "leave --on out, or use --on ssh://user@host",
            )
        )
    image = target.serial_image(artifact, work)
    elf = work / "firmware.elf"
    elf.write_bytes(image)
    if command is not None:
        _run(command, elf)
    flashed = work / path.name
    write_artifact(flashed, replace(manifest), {**artifact.files, manifest.program: image})
    return flashed


def _run(command: str, elf: Path) -> None:
    where = f"--flash-command {command}"
    try:
        words = [word.replace(IMAGE, str(elf)) for word in shlex.split(command)]
    except ValueError as error:
        raise EdgecompError(
            Reason(f"this is no command ({error})", where, "close its quotes")
        ) from error
    if not any(str(elf) in word for word in words):
        raise EdgecompError(Reason("it does not name the image", where, f"write {IMAGE} for it"))
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except OSError as error:
        fix = f"install {words[0]}, or name its path"
        raise EdgecompError(Reason(f"{error.strerror}: {words[0]}", where, fix)) from error
    except subprocess.TimeoutExpired as error:
        fix = "check that the board is connected"
        raise EdgecompError(Reason(f"it did not end in {_SECONDS} s", where, fix)) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise EdgecompError(Reason(f"it failed: {said[-1]}", where, "run it by hand to see more"))
