"""`--as arduino`: the layout and properties of the Arduino library specification, revision 2.2."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecomp_runtime.artifact import Artifact

REQUIRED = {
    "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
    "architectures",
}  # fmt: skip
CATEGORIES = {
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
    "Data Storage", "Data Processing", "Other",
}  # fmt: skip
# What a sketch finds on a board, for this machine.
CORE = """\
#include <stdio.h>
struct Console {
  void begin(long) {}
  void println(long value) { printf("%ld\\n", value); }
  void println(double value) { printf("%g\\n", value); }
};
static Console Serial;
static void delay(unsigned long) {}
"""


@pytest.fixture
def library(digits: Callable[[str], Artifact], streaming: Artifact, package: Any) -> Path:
    folder: Path = package("arduino", digits("nucleo_l4r5zi"), streaming, name="both")
    return folder


def _properties(library: Path) -> dict[str, str]:
    lines = (library / "library.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_properties_are_as_specified(library: Path) -> None:
    properties = _properties(library)
    assert set(properties) >= REQUIRED
    assert all(value.strip() for value in properties.values())
    # starts with a letter or number; letters, numbers, spaces, _ . -; at most 63 characters
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,62}", properties["name"])
    assert "arduino" not in properties["name"].lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["category"] in CATEGORIES
    assert not properties["paragraph"].startswith(properties["sentence"])
    assert all((library / "src" / name).is_file() for name in properties["includes"].split(","))


def test_the_layout_is_as_specified(library: Path) -> None:
    assert {path.name for path in library.iterdir()} == {
        *("library.properties", "README.md", "src", "examples")
    }
    for example in (library / "examples").iterdir():
        assert (example / f"{example.name}.ino").is_file()


def test_the_example_runs(library: Path, tmp_path: Path) -> None:
    """As the IDE builds it: the library's C as C, the sketch as C++ after <Arduino.h>."""
    sketch = (library / "examples/both/both.ino").read_text()
    (tmp_path / "sketch.cpp").write_text(
        f"{CORE}{sketch}int main() {{\n  setup();\n  loop();\n}}\n"
    )
    for source in (library / "src").glob("*.c"):
        command = ["gcc", "-std=gnu11", "-c", source, "-o", tmp_path / f"{source.name}.o"]
        subprocess.run(command, check=True)
    objects = sorted(tmp_path.glob("*.o"))
    compiler = ["g++", "-std=gnu++11", "-Wall", "-Wextra", "-Werror", f"-I{library / 'src'}"]
    program = tmp_path / "sketch"
    subprocess.run([*compiler, tmp_path / "sketch.cpp", *objects, "-o", program], check=True)
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert len([float(line) for line in said.splitlines()]) == 10 + 2
