"""Folders written whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from edgecomp.errors import EdgecompError, Reason
from edgecomp.packaging.project import Files


def check_folder(folder: Path) -> None:
    """Make sure, before long work, that `folder` can be made.

    Raises:
        EdgecompError: something is there already, other than an empty folder, or its parent is no
            folder.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        what = "this folder is not empty" if folder.is_dir() else "this is no folder"
        raise EdgecompError(Reason(what, str(folder), "name one that does not exist yet"))
    if not folder.absolute().parent.is_dir():
        what = f"there is no folder {folder.absolute().parent}"
        raise EdgecompError(Reason(what, str(folder), "make it first"))


def write_folder(folder: Path, files: Files) -> None:
    """Write `files` into `folder`, which appears when all of them are on disk.

    Raises:
        EdgecompError: see `check_folder`.
        OSError: they cannot be written; nothing is left behind then.
    """
    check_folder(folder)
    temporary = folder.absolute().with_name(f".{folder.absolute().name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
        for name, contents in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
        temporary.replace(folder.absolute())
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
