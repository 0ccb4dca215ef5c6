"""The .edge file: a deterministic zip of a manifest and the files whose digests it carries."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy.typing as npt

from edgecomp_runtime.constants_once import CODES, cut, restored
from edgecomp_runtime.errors import ArtifactError, raise_if_any
from edgecomp_runtime.files import whole_file
from edgecomp_runtime.manifest import (
    CODED_VERSION,
    FORMAT_VERSION,
    Manifest,
    manifest_from_json,
)

MANIFEST_NAME = "manifest.json"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_LARGE_MEMBER = 1 << 20
_READ_FAILURES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Artifact:
    """An opened artifact whose every byte has been checked.

    Attributes:
        path: the file it was read from.
        manifest: what it says of itself.
        files: contents of every member but the manifest, by name.
        huffman: constants were stored once, Huffman-coded.
    """

    path: Path
    manifest: Manifest
    files: Mapping[str, bytes]
    huffman: bool = False

    def read(self, name: str) -> bytes:
        """The contents of member `name`.

        Raises:
            ArtifactError: there is no such member.
        """
        if name not in self.files:
            raise ArtifactError(f"{self.path}: the artifact has no file {name!r}")
        return self.files[name]


def open_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Read the artifact at `path` and check every member against its sha256.

    Raises:
        ArtifactError: the file cannot be read, is no zip, is of another format version, or its
            members are missing, unknown or changed; all such reasons at once.
    """
    path = Path(path)
    members = _read_members(path)
    if MANIFEST_NAME not in members:
        raise ArtifactError(f"{path}: this is not an edgecomp artifact, it has no {MANIFEST_NAME}")
    manifest = _parse_manifest(path, members.pop(MANIFEST_NAME))
    huffman = CODES in members
    if huffman:
        members = _restored(path, members)
    raise_if_any(ArtifactError, [f"{path}: {reason}" for reason in _differences(manifest, members)])
    return Artifact(path, manifest, members, huffman)


def write_artifact(
    path: str | os.PathLike[str],
    manifest: Manifest,
    files: Mapping[str, bytes],
    huffman: Sequence[npt.NDArray[Any]] = (),
) -> Manifest:
    """Write an artifact, whole or not at all; the same arguments give the same bytes.

    Args:
        path: the file to write; an existing one is replaced.
        manifest: its `files` is ignored, the digests are computed here.
        files: contents by path in the artifact.
        huffman: constants that `files` hold, to be stored once, Huffman-coded.

    Returns:
        The manifest as it is read again, digests included.

    Raises:
        ArtifactError: `files` lacks the manifest's program, or has a member named like the
            manifest; nothing is written then.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if MANIFEST_NAME in files:
        raise ArtifactError(f"{path}: {MANIFEST_NAME} is written by the artifact itself")
    if manifest.program not in files:
        raise ArtifactError(f"{path}: the program {manifest.program!r} is not among the files")
    digests = {name: _sha256(files[name]) for name in sorted(files)}
    manifest = replace(manifest, files=digests)
    version = CODED_VERSION if huffman else FORMAT_VERSION
    values = {**manifest.to_json(), "format_version": version}
    text = json.dumps(values, indent=1, sort_keys=True, allow_nan=False) + "\n"
    members = cut(files, huffman) if huffman else files
    with whole_file(path) as stream:
        _write_zip(stream, {**members, MANIFEST_NAME: text.encode()})
    return manifest


def plain_bytes(artifact: Artifact) -> int:
    """The size of the file that `artifact` would be, were no constant Huffman-coded."""
    text = json.dumps(artifact.manifest.to_json(), indent=1, sort_keys=True) + "\n"
    stream = io.BytesIO()
    _write_zip(stream, {**artifact.files, MANIFEST_NAME: text.encode()})
    return len(stream.getvalue())


def _write_zip(stream: IO[bytes], members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(members):
            contents = members[name]
            archive.writestr(_zip_entry(name), contents, compresslevel=_deflate_level(contents))


def _deflate_level(contents: bytes) -> int:
    """The last percents cost minutes where weights of a few values repeat for megabytes."""
    return 9 if len(contents) <= _LARGE_MEMBER else 4


def _zip_entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # the same bytes on every system
    entry.external_attr = 0o644 << 16
    return entry


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def _read_members(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise ArtifactError(f"{path}: the artifact is damaged, a file is in it twice")
            return {name: archive.read(name) for name in names}
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _READ_FAILURES as error:
        raise ArtifactError(
            f"{path}: this is not a whole artifact ({error}); compile or copy it again"
        ) from error


def _restored(path: Path, members: Mapping[str, bytes]) -> dict[str, bytes]:
    try:
        return restored(members)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path}: its constants are damaged ({error}); compile or copy it again"
        ) from error


def _parse_manifest(path: Path, contents: bytes) -> Manifest:
    try:
        values = json.loads(contents)
        if not isinstance(values, dict):
            raise ValueError("the manifest is not a JSON object")
        return manifest_from_json(values)
    except ValueError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _differences(manifest: Manifest, members: Mapping[str, bytes]) -> list[str]:
    """What is not as the manifest promises, a sentence each."""
    promised = manifest.files
    reasons = [f"{name} is missing from the artifact" for name in promised if name not in members]
    reasons += [f"{name} is not in the manifest" for name in members if name not in promised]
    reasons += [
        f"{name} is damaged, its sha256 is not the manifest's; compile or copy the artifact again"
        for name, contents in members.items()
        if name in promised and _sha256(contents) != promised[name]
    ]
    if manifest.program not in promised:
        reasons.append(f"the program {manifest.program!r} is not among the artifact's files")
    return reasons
