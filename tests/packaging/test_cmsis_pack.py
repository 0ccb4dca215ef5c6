"""`--as cmsis-pack`: rules of the Open-CMSIS-Pack specification.

No package carries its schema PACK.xsd; the rules here are those of the specification's pages on
`/package`, `/package/releases`, `/package/taxonomy`, `/package/components` and on file names.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from edgecomp_runtime.artifact import Artifact

# The order the schema asks for.
ORDER = ["vendor", "name", "description", "url", "releases", "keywords", "taxonomy", "components"]
CATEGORIES = {"doc", "header", "include", "library", "object", "source", "sourceC", "sourceCpp"}


@pytest.fixture
def folder(digits: Callable[[str], Artifact], streaming: Artifact, package: Any) -> Path:
    made: Path = package(
        "cmsis-pack", digits("nucleo_l4r5zi"), streaming, name="both", release="1.2.3", vendor="Me"
    )
    return made


@pytest.fixture
def pack(folder: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO((folder / "Me.both.1.2.3.pack").read_bytes()))


@pytest.fixture
def description(folder: Path) -> ElementTree.Element:
    return ElementTree.fromstring((folder / "Me.both.pdsc").read_text())


def test_the_files_are_named_by_the_convention(folder: Path, pack: zipfile.ZipFile) -> None:
    assert {path.name for path in folder.iterdir()} == {
        *("Me.both.pdsc", "Me.both.1.2.3.pack", "README.md")
    }
    assert [name for name in pack.namelist() if name.endswith(".pdsc")] == ["Me.both.pdsc"]
    assert pack.read("Me.both.pdsc") == (folder / "Me.both.pdsc").read_bytes()


def test_the_description_has_the_elements_in_order(description: ElementTree.Element) -> None:
    assert description.tag == "package"
    assert re.fullmatch(r"1\.\d(\.\d+)?", description.attrib["schemaVersion"])
    assert [element.tag for element in description] == ORDER
    values = {element.tag: element.text for element in description}
    assert (values["vendor"], values["name"]) == ("Me", "both")
    versions = [release.attrib["version"] for release in description.iter("release")]
    assert versions == ["1.2.3"]


def test_the_component_is_in_the_taxonomy(description: ElementTree.Element) -> None:
    (component,) = description.iter("component")
    classes = {each.attrib["Cclass"] for each in description.findall("taxonomy/description")}
    assert component.attrib["Cclass"] in classes
    assert set(component.attrib) == {"Cclass", "Cgroup", "Csub", "Cversion"}
    assert component.find("description") is not None


def test_every_file_named_is_in_the_pack(
    description: ElementTree.Element, pack: zipfile.ZipFile
) -> None:
    files = {each.attrib["name"]: each.attrib["category"] for each in description.iter("file")}
    assert set(files.values()) <= CATEGORIES
    names = set(pack.namelist())
    for name, category in files.items():
        inside = any(each.startswith(name) for each in names)
        assert inside if category == "include" else name in names
    sources = {name for name in names if name.endswith((".c", ".h"))}
    assert sources <= set(files)
    assert sources == {
        *("src/digits.c", "src/streaming.c"),
        *("include/both.h", "include/digits.h", "include/streaming.h"),
    }
