"""`edgecomp package`: artifacts to what a firmware project takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecomp.errors import EdgecompError, Reason
from edgecomp.packaging import KINDS
from edgecomp.packaging.folder import check_folder, write_folder
from edgecomp.packaging.project import Labels, Project, make_project
from edgecomp_runtime.artifact import open_artifact


@dataclass(frozen=True)
class Packaged:
    """What was packaged.

    Attributes:
        output: the folder.
        kind: of the package.
        project: what is in it.
        sizes: bytes of every file, by path in the folder.
    """

    output: Path
    kind: str
    project: Project
    sizes: tuple[tuple[str, int], ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "output": str(self.output),
            "kind": self.kind,
            "name": self.project.name,
            "release": self.project.release,
            "arena_bytes": self.project.arena_bytes,
            "models": [
                {"name": model.manifest.name, "symbol": model.symbol}
                for model in self.project.models
            ],
            "files": [{"path": path, "bytes": size} for path, size in self.sizes],
        }


def package_files(artifacts: Sequence[Path], kind: str, output: Path, labels: Labels) -> Packaged:
    """Package artifacts together.

    Args:
        artifacts: the artifacts.
        kind: a key of `edgecomp.packaging.KINDS`.
        output: the folder to write, whole or not at all; it must not exist, or be empty.
        labels: what the user calls the package.

    Raises:
        EdgecompError, ArtifactError: all that keeps it from being made.
    """
    if kind not in KINDS:
        kinds = ", ".join(KINDS)
        raise EdgecompError(Reason("there is no such kind", f"--as {kind}", f"choose {kinds}"))
    check_folder(output)
    project = make_project([open_artifact(path) for path in artifacts], labels)
    files = dict(sorted(KINDS[kind].files(project).items()))
    write_folder(output, files)
    sizes = ((name, (output / name).stat().st_size) for name in files)
    return Packaged(output, kind, project, tuple(sizes))
