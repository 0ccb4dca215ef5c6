"""PyTorch models that are refused, each with one sentence, and torch left alone where unused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import edgecomp
from edgecomp.errors import EdgecompError
from edgecomp.importers import load


def refusal(function, *arguments, **options):
    """The sentences with which something is refused."""
    with pytest.raises(EdgecompError) as caught:
        function(*arguments, **options)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


class Untraceable(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Inexpressible(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x).real


def test_what_cannot_be_exported_is_refused_with_torchs_reason():
    square = torch.ones(3, 3)
    sentence = refusal(edgecomp.from_torch, Untraceable(), square)
    assert "Untraceable: torch.export cannot export the module: " in sentence
    assert "\n" not in sentence
    sentence = refusal(edgecomp.from_torch, Inexpressible(), square, name="eigen")
    assert "eigen: torch.onnx cannot express the program: " in sentence
    assert "\n" not in sentence


def test_what_is_no_module_or_no_tensor_is_refused():
    assert "a function is no torch.nn.Module" in refusal(edgecomp.from_torch, refusal, [])
    sentence = refusal(edgecomp.from_torch, nn.Bilinear(2, 2, 2), [1.0, "text"])
    assert "example input 0: it is a float, no tensor" in sentence
    assert "example input 1: it is a str, no tensor" in sentence
    assert "give tensors" in refusal(edgecomp.from_torch, nn.Bilinear(2, 2, 2), 3)


def run_python(program, **environment):
    """The output of a Python program in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return answer.stdout.strip()


def test_torch_is_imported_only_when_used(root, tmp_path):
    model, output = root / "edgecomp" / "demo_data" / "digits.onnx", tmp_path / "model.edge"
    program = (
        "import sys; from edgecomp.cli import main; import edgecomp; edgecomp.from_torch\n"
        f"code = main(['compile', {str(model)!r}, '--device', 'host', '-o', {str(output)!r}])\n"
        "print(code, 'torch' in sys.modules)"
    )
    assert run_python(program).splitlines()[-1] == "0 False"


def test_missing_torch_is_one_sentence(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('absent')\n")
    program = (
        "import edgecomp\ntry:\n    edgecomp.from_torch(None, None)\n"
        "except edgecomp.EdgecompError as error:\n    print(error)"
    )
    sentence = run_python(program, PYTHONPATH=str(tmp_path))
    assert sentence == (
        "PyTorch models need torch, which is not installed; "
        "install it with pip install 'edgecomp[torch]'"
    )


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_pickles_are_never_loaded(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    torch.save(nn.Linear(2, 2), path)
    sentence = refusal(load, path)
    assert "pickle" in sentence
    assert "torch.export.save" in sentence


def test_pickles_are_refused_by_the_command_line(tmp_path):
    path = Path(tmp_path, "model.pt")
    path.write_bytes(b"\x80\x02.")
    answer = subprocess.run(
        [sys.executable, "-m", "edgecomp", "inspect", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"edgecomp: {path}: this is a Python pickle")
