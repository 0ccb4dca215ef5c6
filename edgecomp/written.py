"""Files that commands write: whole or not at all, and a sentence where that fails."""

from __future__ import annotations

from pathlib import Path

from edgecomp.errors import EdgecompError, Reason
from edgecomp_runtime.files import whole_file


def write_whole(path: Path, content: bytes, what: str = "file") -> None:
    """Make `content` the file `path`; what was there stays until it is complete.

    Raises:
        EdgecompError: `what`, as people call it, cannot be written.
    """
    try:
        with whole_file(path) as stream:
            stream.write(content)
    except OSError as error:
        reason = f"the {what} cannot be written ({error.strerror})"
        raise EdgecompError(Reason(reason, str(path))) from error
