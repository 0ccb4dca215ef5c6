"""`--as cmake`: CMake builds, installs and finds it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgecomp_runtime.artifact import Artifact

USER = """\
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(both 1.2 REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE both::both)
"""
USER_MAIN = """\
#include "both.h"
EDGECOMP_ARENA(arena, both_ARENA_BYTES);
int main(void) { return sizeof arena != both_ARENA_BYTES || digits_INPUTS != 1; }
"""


def _cmake(*arguments: object) -> None:
    done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def project(digits: Callable[[str], Artifact], streaming: Artifact, package: Any) -> Path:
    folder: Path = package(
        "cmake", digits("nucleo_l4r5zi"), streaming, name="both", release="1.2.3"
    )
    return folder


def test_it_builds_with_its_example(project: Path, tmp_path: Path) -> None:
    _cmake("-S", project, "-B", tmp_path / "build", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror")
    _cmake("--build", tmp_path / "build")
    example = tmp_path / "build" / "both_example"
    said = subprocess.run([example], capture_output=True, text=True, check=True).stdout
    assert [line.split()[:3] for line in said.splitlines()] == [
        *(["digits", "0", str(i)] for i in range(10)),
        *(["streaming", "0", str(i)] for i in range(2)),
    ]


def test_another_project_finds_it_installed(project: Path, tmp_path: Path) -> None:
    _cmake("-S", project, "-B", tmp_path / "build", "-Dboth_EXAMPLE=OFF")
    _cmake("--build", tmp_path / "build")
    _cmake("--install", tmp_path / "build", "--prefix", tmp_path / "prefix")
    user = tmp_path / "user"
    user.mkdir()
    (user / "CMakeLists.txt").write_text(USER)
    (user / "user.c").write_text(USER_MAIN)
    _cmake("-S", user, "-B", user / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    _cmake("--build", user / "build")
    assert subprocess.run([user / "build" / "user"]).returncode == 0
