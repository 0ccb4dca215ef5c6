"""A model as the command line names it: a file, and what its options say about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp_runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from edgecomp.model import Model

ARTIFACT_SUFFIX = ".edge"

T = TypeVar("T")


@dataclass(frozen=True)
class ModelFile:
    """A model file, or an artifact where a command takes both.

    Attributes:
        path: the file.
        shapes: every `--shape`, as written.
        bindings: every `--bind`, as written.
        preprocess: the `--preprocess` spec, or None.
    """

    path: Path
    shapes: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()
    preprocess: str | None = None

    @property
    def is_artifact(self) -> bool:
        """Whether the file is named like a compiled program."""
        return self.path.suffix.lower() == ARTIFACT_SUFFIX

    def load(self) -> Model:
        """Import the model.

        Raises:
            EdgecompError: the options cannot be read, all of them at once, or the file cannot.
        """
        from edgecomp.importers import load, parse_binding, parse_shape

        reasons: list[Reason] = []
        shapes = _parsed(self.shapes, parse_shape, reasons)
        bindings = _parsed(self.bindings, parse_binding, reasons)
        reasons += _repeated("--shape", shapes) + _repeated("--bind", bindings)
        raise_if_any(reasons)
        return load(self.path, shapes=dict(shapes), bindings=dict(bindings))

    def parsed_preprocess(self) -> Preprocess | None:
        """What `--preprocess` says.

        Raises:
            InputError: the spec cannot be read.
        """
        return None if self.preprocess is None else Preprocess.parse(self.preprocess)

    def check_plain(self) -> None:
        """Make sure that no option asks to change an artifact, where all of that is fixed.

        Raises:
            EdgecompError: a reason for each option given.
        """
        given = {
            "--shape": bool(self.shapes),
            "--bind": bool(self.bindings),
            "--preprocess": self.preprocess is not None,
        }
        raise_if_any(
            [
                Reason(
                    f"{option} was settled when this artifact was compiled",
                    str(self.path),
                    f"leave it out, or compile the model again with {option}",
                )
                for option, is_given in given.items()
                if is_given
            ]
        )


def check_output(path: Path, suffix: str) -> None:
    """Make sure, before long work, that a file can be written to `path`.

    Raises:
        EdgecompError: it does not end in `suffix`, its folder does not exist, or it is a folder.
    """
    reasons = []
    if path.suffix.lower() != suffix:
        reasons.append(Reason(f"the output is a {suffix} file", str(path), f"end it in {suffix}"))
    if not path.parent.is_dir():
        reasons.append(Reason(f"there is no folder {path.parent}", str(path), "make it first"))
    elif path.is_dir():
        reasons.append(Reason("this is a folder", str(path), "name a file"))
    raise_if_any(reasons)


def _parsed(
    texts: Sequence[str], parse: Callable[[str], tuple[str, T]], reasons: list[Reason]
) -> list[tuple[str, T]]:
    """What `parse` makes of each text; of those it refuses, the reasons."""
    found = []
    for text in texts:
        try:
            found.append(parse(text))
        except EdgecompError as error:
            reasons += error.reasons
    return found


def _repeated(option: str, pairs: Sequence[tuple[str, object]]) -> list[Reason]:
    names = [name for name, _ in pairs]
    return [
        Reason("it is given twice", f"{option} {name}", "give it once")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
