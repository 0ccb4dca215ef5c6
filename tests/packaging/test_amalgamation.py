"""What becomes of an artifact's C: constants of every form, and what cannot be packaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.lowering import emit_c
from edgecomp.model import Model
from edgecomp.packaging import KINDS
from edgecomp.packaging.amalgamation import amalgamate
from edgecomp.packaging.project import Labels, make_project
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import Artifact, open_artifact


def test_constants_in_a_binary_file_become_the_same_c(
    int8_digits: Model,
    digits: Callable[[str], Artifact],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emit_c, "TEXT_LIMIT", 0)
    compile_model(int8_digits, load_device("nucleo_l4r5zi"), tmp_path / "digits.edge")
    artifact = open_artifact(tmp_path / "digits.edge")
    assert "src/digits_weights.bin" in artifact.files
    assert amalgamate(artifact) == amalgamate(digits("nucleo_l4r5zi"))


def test_an_artifact_without_c_is_refused(digits: Callable[[str], Artifact]) -> None:
    artifact = digits("nucleo_l4r5zi")
    files = {name: data for name, data in artifact.files.items() if not name.startswith("src/")}
    with pytest.raises(EdgecompError, match="nucleo_l4r5zi holds no C to package; compile"):
        amalgamate(replace(artifact, files=files))


@pytest.mark.parametrize("name", ['a"b$(shell x)<c>&', "two\nlines */", "x" * 300])
def test_the_models_own_name_breaks_no_file(name: str, digits: Callable[[str], Artifact]) -> None:
    artifact = digits("nucleo_l4r5zi")
    named = replace(artifact, manifest=replace(artifact.manifest, name=name))
    project = make_project([named], Labels())
    assert not set(project.summary) & set('"$<>&*\n')
    ElementTree.fromstring(KINDS["cmsis-pack"].files(project)["edgecomp.digits.pdsc"])
