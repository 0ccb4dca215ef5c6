"""Read a user's file into a `Model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edgecomp.errors import EdgecompError, Reason
from edgecomp.importers.onnx import load_onnx
from edgecomp.importers.pytorch import load_pt2
from edgecomp.importers.tflite.load import load_tflite
from edgecomp.model import Model


class Importer(Protocol):
    """What reads one kind of file."""

    def __call__(
        self,
        path: Path,
        shapes: Mapping[str, Sequence[int]],
        bindings: Mapping[str, Any],
        name: str,
    ) -> Model:
        """The model in `path`; see `load`."""
        ...


IMPORTERS: Mapping[str, Importer] = {
    ".onnx": load_onnx,
    ".tflite": load_tflite,
    ".pt2": load_pt2,
}
"""What reads a file, by its suffix."""

PICKLES = frozenset({".pt", ".pth", ".pkl", ".ckpt"})
"""Suffixes of Python pickles, which are never loaded."""


def load(
    path: str | Path,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    bindings: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Model:
    """The model in `path`: ONNX at one opset, static shapes, constants folded.

    Args:
        path: a file whose suffix is in `IMPORTERS`.
        shapes: static shape by input name, for inputs whose file leaves dimensions open; the batch
            dimension alone is 1 by default.
        bindings: value (scalar or array) by input name, for inputs to turn into constants.
        name: the model's name, by default the file's without its suffix.

    Raises:
        EdgecompError: the file cannot be read or used, with every reason found.
    """
    path = Path(path)
    if path.suffix.lower() in PICKLES and path.is_file():
        raise EdgecompError(
            Reason(
                "this is a Python pickle, which is not loaded since that could run code",
                str(path),
                "load it in PyTorch and write torch.export.save(torch.export.export("
                "module.eval(), example_inputs), 'model.pt2')",
            )
        )
    importer = IMPORTERS.get(path.suffix.lower())
    if importer is None and path.is_file():
        what = f"the suffix {path.suffix!r} is unknown" if path.suffix else "there is no suffix"
        raise EdgecompError(
            Reason(what, str(path), f"name a file that ends in {' or '.join(IMPORTERS)}")
        )
    read = importer or load_onnx
    return read(path, shapes or {}, bindings or {}, name or path.stem)


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Input name and shape of a `--shape` option such as `image=1,3,224,224`.

    Raises:
        EdgecompError: the text does not have that form.
    """
    name, _, dims = text.rpartition("=")
    try:
        shape = tuple(int(dim) for dim in dims.split(","))
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise EdgecompError(
            Reason("this is no shape", f"--shape {text}", "write --shape NAME=1,3,224,224")
        )
    return name, shape


def parse_binding(text: str) -> tuple[str, Any]:
    """Input name and value of a `--bind` option: `rate=16000`, `gain=0.5`, `flag=true`, `x=1,2`.

    Returns:
        The name, and an int, a float, a bool, or a list of those.

    Raises:
        EdgecompError: the text does not have that form.
    """
    name, _, value = text.rpartition("=")
    values = [_number(part.strip()) for part in value.split(",")]
    if not name or any(number is None for number in values):
        raise EdgecompError(
            Reason(
                "this is no value", f"--bind {text}", "write --bind NAME=VALUE, as in rate=16000"
            )
        )
    return name, values[0] if len(values) == 1 else values


def _number(text: str) -> int | float | bool | None:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
