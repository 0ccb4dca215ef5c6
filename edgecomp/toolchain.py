"""Find and run the cross compiler: clang and lld from the `ziglang` package, for every target."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgecomp.errors import EdgecompError, Reason


def cache_folder() -> Path:
    """Where compiled support libraries are kept between runs."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "edgecomp"


def zig(arguments: Sequence[str], folder: Path) -> str:
    """Run `zig ARGUMENTS` in `folder` and return what it printed.

    Raises:
        EdgecompError: the compiler is missing or refused its input.
    """
    cache = cache_folder() / "zig"
    cache.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "ZIG_GLOBAL_CACHE_DIR": str(cache),
        # Not kept: a cached object comes without the stack report written beside it.
        "ZIG_LOCAL_CACHE_DIR": str(folder / "zig-cache"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        if "No module named ziglang" in done.stderr:
            raise EdgecompError(
                Reason("the C compiler is missing", fix="install the package ziglang")
            )
        raise EdgecompError(
            Reason(
                f"the C compiler failed: {done.stderr.strip()[-2000:]}",
                where=" ".join(arguments[:2]),
                fix="report this with the model",
            )
        )
    return done.stdout
