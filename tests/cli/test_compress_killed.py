"""A compression killed at any moment leaves the old file or the new one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path


def test_old_or_new(demo: Path, tmp_path: Path) -> None:
    """Whatever it is doing by then."""
    passes = ("-p", "prune:macs=0.8", "-p", "cluster:bits=4", "-p", "quantize:samples=16")
    command = (sys.executable, "-m", "edgecomp", "compress", str(demo / "digits.onnx"), *passes,
               "--data", str(demo / "train.npz"), "-o")  # fmt: skip
    subprocess.run((*command, str(tmp_path / "new.onnx")), check=True, stderr=subprocess.DEVNULL)
    old, new = (demo / "digits.onnx").read_bytes(), (tmp_path / "new.onnx").read_bytes()
    output = tmp_path / "small.onnx"
    for seconds in (1.0, 2.0, 3.0):
        shutil.copy(demo / "digits.onnx", output)
        with subprocess.Popen((*command, str(output)), stderr=subprocess.DEVNULL) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()
        assert output.read_bytes() in (old, new)
