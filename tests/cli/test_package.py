"""`edgecomp package`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecomp.packaging import KINDS

Edgecomp = Callable[..., Any]
ARTIFACT = "digits-nucleo_l4r5zi.edge"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_written_and_listed(
    kind: str, edgecomp: Edgecomp, demo: Path, here: Path
) -> None:
    answer = edgecomp("package", demo / ARTIFACT, "--as", kind, "-o", "out", "--json").json
    assert (answer["kind"], answer["output"], answer["release"]) == (kind, "out", "1.0.0")
    assert answer["models"] == [{"name": "digits", "symbol": "digits"}]
    found = {
        p.relative_to("out").as_posix(): p.stat().st_size
        for p in Path("out").rglob("*")
        if p.is_file()
    }
    assert {file["path"]: file["bytes"] for file in answer["files"]} == found
    assert "README.md" in found


def test_people_read_what_was_written(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    answer = edgecomp("package", demo / ARTIFACT, "--as", "c", "-o", "out")
    assert (answer.code, answer.err) == (0, "")
    for word in ("digits 1.0.0", "arena", "digits.c", "out"):
        assert word in answer.out


def test_an_empty_folder_is_filled(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    Path("out").mkdir()
    assert edgecomp("package", demo / ARTIFACT, "--as", "c", "-o", "out").code == 0
    assert (here / "out" / "digits.c").is_file()


def test_a_folder_in_use_is_left_alone(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    Path("file").write_text("mine")
    package = ("package", demo / ARTIFACT, "--as", "c", "-o")
    assert edgecomp(*package, "out").sentences == [
        "out: this folder is not empty; name one that does not exist yet"
    ]
    assert edgecomp(*package, "file").sentences == [
        "file: this is no folder; name one that does not exist yet"
    ]
    (sentence,) = edgecomp(*package, "nowhere/out").sentences
    assert sentence.startswith("nowhere/out: there is no folder ")
    assert sorted(path.name for path in here.rglob("*")) == ["file", "mine.txt", "out"]


def test_every_wrong_label_is_named(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    answer = edgecomp(
        *("package", demo / ARTIFACT, "--as", "arduino", "-o", "out", "--name", "my model"),
        *("--release", "one", "--vendor", "a b", "--url", "nowhere"),
    )
    assert answer.sentences == [
        "--name my model: this is no name in C; use letters, digits and _, a letter first",
        "--release one: this is no version; write it as in 1.2.0",
        "--vendor a b: this is no vendor's name; use letters, digits, _ and -",
        "--url nowhere: this is no address; begin it with https://",
    ]
    assert not Path("out").exists()


def test_several_models_need_names_of_their_own(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    artifact = demo / ARTIFACT
    package = ("package", artifact, artifact, "--as", "c", "-o", "out")
    assert edgecomp(*package).sentences == [
        f"{artifact}: its C names begin with digits_ like those of {artifact}; "
        "package them apart, or compile one from a file of another name",
        "a package of several models needs a name; give it by --name",
    ]
    taken = edgecomp(*package, "--name", "digits").sentences
    assert "--name digits: a model in the package has this name; choose another" in taken


def test_a_kind_there_is_not(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    (sentence,) = edgecomp("package", demo / ARTIFACT, "--as", "zip", "-o", "out").sentences
    assert sentence == f"--as zip: there is no such kind; choose {', '.join(KINDS)}"


def test_a_file_that_is_no_artifact(edgecomp: Edgecomp, demo: Path, here: Path) -> None:
    (sentence,) = edgecomp("package", demo / "digits.onnx", "--as", "c", "-o", "out").sentences
    assert "digits.onnx" in sentence
    assert not Path("out").exists()
