"""A compression killed at any moment leaves the old file or the new one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
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


def test_training_goes_on_where_it_was(demo: Path, tmp_path: Path) -> None:
    """The file is the old one after the kill, and that of an undisturbed run at the end."""
    command = (sys.executable, "-m", "edgecomp", "compress", str(demo / "digits.onnx"),
               "-p", "prune:macs=0.7", "-p", "distill:epochs=12,mixup=1,threads=1",
               "--train", str(demo / "train.npz"), "-o")  # fmt: skip
    subprocess.run((*command, str(tmp_path / "new.onnx")), check=True, stderr=subprocess.DEVNULL)
    output, kept = tmp_path / "small.onnx", tmp_path / "small.checkpoints"
    shutil.copy(demo / "digits.onnx", output)
    with subprocess.Popen((*command, str(output)), stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(kept.glob("*.pt")):
            time.sleep(0.005)
        process.kill()
    assert list(kept.glob("*.pt"))
    assert output.read_bytes() == (demo / "digits.onnx").read_bytes()
    subprocess.run((*command, str(output)), check=True, stderr=subprocess.DEVNULL)
    assert output.read_bytes() == (tmp_path / "new.onnx").read_bytes()
    assert not kept.exists()
