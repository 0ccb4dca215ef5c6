"""The artifact: deterministic bytes, whole or not at all, every damage told."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecomp_runtime import ArtifactError, open_artifact
from edgecomp_runtime.artifact import write_artifact


def _rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The zip at `path` with its members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return path


def _with_manifest(path: Path, **changes: object) -> Path:
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps(
            {**json.loads(members["manifest.json"]), **changes}
        ).encode()

    return _rewritten(path, change)


def test_what_was_written_is_read(single, single_path):
    artifact = open_artifact(single_path)
    assert replace(artifact.manifest, files={}) == single.manifest
    assert artifact.read("lib/libtiny.so") == single.library
    assert set(artifact.manifest.files) == {"lib/libtiny.so", "src/notes.txt"}


def test_the_same_program_gives_the_same_bytes(single, tmp_path):
    first = single.write(tmp_path / "a.edge").read_bytes()
    files = {"src/notes.txt": b"notes " * 100, single.manifest.program: single.library}
    write_artifact(tmp_path / "b.edge", single.manifest, files)
    assert first == (tmp_path / "b.edge").read_bytes()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.namelist() == sorted(archive.namelist())
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(single, single_path):
    before = single_path.read_bytes()
    with pytest.raises(ArtifactError, match="not among the files"):
        write_artifact(single_path, single.manifest, {"src/other.c": b""})
    with pytest.raises(TypeError):
        write_artifact(single_path, single.manifest, {single.manifest.program: "text"})
    assert single_path.read_bytes() == before
    assert [path.name for path in single_path.parent.iterdir()] == ["single.edge"]


def test_a_missing_file_a_text_and_a_folder_are_told(tmp_path):
    text = tmp_path / "text.edge"
    text.write_text("not a zip")
    with pytest.raises(ArtifactError, match="No such file"):
        open_artifact(tmp_path / "none.edge")
    with pytest.raises(ArtifactError, match="not a whole artifact"):
        open_artifact(text)
    with pytest.raises(ArtifactError, match="directory"):
        open_artifact(tmp_path)


def test_another_zip_is_told(tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"jpeg")
    with pytest.raises(ArtifactError, match=r"not an edgecomp artifact, it has no manifest\.json"):
        open_artifact(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_never_goes_unnoticed_where_it_matters(single, single_path, position, bit):
    single.write(single_path)
    original = open_artifact(single_path)
    contents = bytearray(single_path.read_bytes())
    contents[int(position * len(contents))] ^= 1 << bit
    single_path.write_bytes(contents)
    with contextlib.suppress(ArtifactError):
        artifact = open_artifact(single_path)
        # not refused: a bit of the zip's own bookkeeping, such as a time stamp
        assert artifact.files == original.files
        assert artifact.manifest == original.manifest


@pytest.mark.parametrize("kept", [0, 1, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_told(single_path, kept):
    contents = single_path.read_bytes()
    single_path.write_bytes(contents[: int(kept * len(contents)) if kept != 1 else 1])
    with pytest.raises(ArtifactError, match="not a whole artifact"):
        open_artifact(single_path)


def test_every_wrong_member_is_told_at_once(single_path):
    def change(members: dict[str, bytes]) -> None:
        del members["src/notes.txt"]
        members["lib/libtiny.so"] += b"!"
        members["lib/extra.so"] = b""

    with pytest.raises(ArtifactError) as caught:
        open_artifact(_rewritten(single_path, change))
    assert len(caught.value.reasons) == 3
    assert "src/notes.txt is missing" in str(caught.value)
    assert "lib/libtiny.so is damaged" in str(caught.value)
    assert "lib/extra.so is not in the manifest" in str(caught.value)


def test_a_member_that_is_there_twice_is_told(single_path):
    with zipfile.ZipFile(single_path, "a") as archive, pytest.warns(match="Duplicate"):
        archive.writestr("lib/libtiny.so", b"other")
    with pytest.raises(ArtifactError, match="twice"):
        open_artifact(single_path)


def test_another_version_names_both(single_path):
    with pytest.raises(ArtifactError, match="format version 99, this runtime reads versions 1"):
        open_artifact(_with_manifest(single_path, format_version=99))


@pytest.mark.parametrize(
    "changes",
    [{"format": "other"}, {"memory": None}, {"inputs": [{"name": "x"}]}, {"ops": 3}, {"flash": {}}],
)
def test_a_manifest_that_makes_no_sense_is_told(single_path, changes):
    with pytest.raises(ArtifactError, match="manifest"):
        open_artifact(_with_manifest(single_path, **changes))


def test_a_manifest_that_is_no_json_is_told(single_path):
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = b"\xff{"

    with pytest.raises(ArtifactError):
        open_artifact(_rewritten(single_path, change))


def test_a_program_that_is_no_member_is_told(single_path):
    with pytest.raises(ArtifactError, match=r"the program 'lib/none\.so' is not among"):
        open_artifact(_with_manifest(single_path, program="lib/none.so"))


def test_keys_of_a_newer_writer_are_ignored(single, single_path):
    artifact = open_artifact(_with_manifest(single_path, novelty=[1, 2]))
    assert replace(artifact.manifest, files={}) == single.manifest


def test_operators_of_an_older_writer_store_their_weights_plainly(single, single_path):
    ops = [asdict(op) for op in single.manifest.ops]
    for op in ops:
        del op["weights"]
    artifact = open_artifact(_with_manifest(single_path, ops=ops))
    assert replace(artifact.manifest, files={}) == single.manifest
