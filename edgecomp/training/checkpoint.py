"""What a training keeps after every epoch, so that it goes on after an interruption."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch

from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.training.settings import Settings
from edgecomp.training_data import Batch
from edgecomp_runtime.files import whole_file


@dataclass(frozen=True)
class Checkpoints:
    """One file in a folder, for exactly one training: another has another name.

    Attributes:
        path: the file; None keeps nothing.
    """

    path: Path | None

    @classmethod
    def of(
        cls,
        folder: Path | None,
        models: Iterable[Model | None],
        batches: Iterable[Batch],
        settings: Settings,
    ) -> Checkpoints:
        """The file of the training of these models, on these samples, by these settings."""
        if folder is None:
            return cls(None)
        digest = hashlib.sha256(f"{torch.__version__} {settings!r}".encode())
        for model in models:
            content = b"" if model is None else _bytes_of(model)
            digest.update(len(content).to_bytes(8, "little") + content)
        for batch in batches:
            for name, array in batch.inputs.items():
                digest.update(f"{name} {array.shape} {array.dtype} ".encode())
                digest.update(array.tobytes())
            digest.update(b"" if batch.labels is None else batch.labels.tobytes())
        return cls(folder / f"training_{digest.hexdigest()[:16]}.pt")

    def save(self, state: dict[str, Any]) -> None:
        """Keep `state` (tensors, numbers, text, dicts and lists of them), whole or not at all.

        Raises:
            EdgecompError: the file cannot be written.
        """
        if self.path is None:
            return
        content = io.BytesIO()
        torch.save(state, content)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path) as stream:
                stream.write(content.getvalue())
        except OSError as error:
            what = f"the checkpoint cannot be written ({error.strerror})"
            raise EdgecompError(Reason(what, str(self.path))) from error

    def load(self) -> dict[str, Any] | None:
        """The state kept last; None when there is none.

        Raises:
            EdgecompError: the file is damaged.
        """
        if self.path is None or not self.path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise EdgecompError(
                Reason("the checkpoint is damaged", str(self.path), "remove the file")
            ) from error
        return state


def _bytes_of(model: Model) -> bytes:
    return bytes(ir.to_proto(model.graph).SerializeToString(deterministic=True))
