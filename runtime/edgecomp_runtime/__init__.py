"""Load, run and measure edgecomp artifacts: numpy and the standard library only."""

from edgecomp_runtime.artifact import Artifact, open_artifact
from edgecomp_runtime.errors import ArtifactError, InputError
from edgecomp_runtime.session import Session

__all__ = ["Artifact", "ArtifactError", "InputError", "Session", "open_artifact"]
