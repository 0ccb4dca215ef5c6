"""`--as platformio`: PlatformIO's own packer takes it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from platformio.package.manifest.schema import ManifestSchema
from platformio.package.pack import PackagePacker

from edgecomp_runtime.artifact import Artifact


def test_platformio_packs_it(
    digits: Callable[[str], Artifact],
    package: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # it would fetch the list of licenses
    known = {"licenses": [{"licenseId": "Apache-2.0"}]}
    monkeypatch.setattr(ManifestSchema, "load_spdx_licenses", staticmethod(lambda: known))
    folder = package("platformio", digits("nucleo_l4r5zi"))
    packed = PackagePacker(str(folder)).pack(str(tmp_path / "packed.tar.gz"))
    with tarfile.open(packed) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} <= names


def test_the_manifest_names_what_is_there(digits: Callable[[str], Artifact], package: Any) -> None:
    folder = package("platformio", digits("nucleo_l4r5zi"), release="2.3.4")
    manifest = json.loads((folder / "library.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("digits", "2.3.4")
    assert (folder / "src" / manifest["headers"]).is_file()
    for example in manifest["examples"]:
        assert all((folder / example["base"] / name).is_file() for name in example["files"])
