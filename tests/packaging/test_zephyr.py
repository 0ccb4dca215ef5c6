"""`--as zephyr`: the module's files are read as Zephyr reads them, and its CMake builds."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kconfiglib
import pytest
import yaml

from edgecomp_runtime.artifact import Artifact

# Zephyr's CMake functions, as far as the module calls them.
ZEPHYR = """\
cmake_minimum_required(VERSION 3.16)
project(zephyr C)
set(CONFIG_EDGECOMP_BOTH @SWITCH@)
set(CONFIG_EDGECOMP_BOTH_WEIGHTS_SECTION "@SECTION@")
function(zephyr_include_directories)
  foreach(folder ${ARGN})
    include_directories(${CMAKE_CURRENT_SOURCE_DIR}/${folder})
  endforeach()
endfunction()
macro(zephyr_library_named name)
  add_library(${name} STATIC)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
endmacro()
function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
function(zephyr_library_compile_definitions)
  target_compile_definitions(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
add_subdirectory("@FOLDER@" module)
"""


@pytest.fixture
def module(digits: Callable[[str], Artifact], streaming: Artifact, package: Any) -> Path:
    folder: Path = package("zephyr", digits("nucleo_l4r5zi"), streaming, name="both")
    return folder


def _settings(module: Path) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((module / "zephyr/module.yml").read_text())
    return settings


def test_module_yml_has_the_keys_of_the_schema(module: Path) -> None:
    """The keys of Zephyr's module schema that are used, each of its kind; paths exist."""
    settings = _settings(module)
    assert set(settings) == {"name", "build", "samples"}
    assert settings["name"] == "both"
    assert set(settings["build"]) == {"cmake", "kconfig"}
    assert (module / settings["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (module / settings["build"]["kconfig"]).is_file()
    assert all((module / folder).is_dir() for folder in settings["samples"])


def test_kconfig_offers_the_options_and_the_sample_sets_them(module: Path, tmp_path: Path) -> None:
    source = _settings(module)["build"]["kconfig"]
    (tmp_path / "Kconfig").write_text(f'mainmenu "test"\nsource "{module / source}"\n')
    kconfig = kconfiglib.Kconfig(str(tmp_path / "Kconfig"), warn_to_stderr=False)
    assert set(kconfig.syms) >= {"EDGECOMP_BOTH", "EDGECOMP_BOTH_WEIGHTS_SECTION"}
    assert kconfig.syms["EDGECOMP_BOTH"].str_value == "n"
    kconfig.load_config(str(module / "samples/both/prj.conf"))
    assert kconfig.syms["EDGECOMP_BOTH"].str_value == "y"
    assert kconfig.syms["EDGECOMP_BOTH_WEIGHTS_SECTION"].str_value == ""


@pytest.mark.parametrize(("switch", "section"), [("y", ""), ("y", ".qspi"), ("n", "")])
def test_cmake_builds_the_library_when_it_is_switched_on(
    switch: str, section: str, module: Path, tmp_path: Path
) -> None:
    text = ZEPHYR.replace("@SWITCH@", switch).replace("@SECTION@", section)
    text = text.replace("@FOLDER@", str(module / _settings(module)["build"]["cmake"]))
    (tmp_path / "CMakeLists.txt").write_text(text)
    build = tmp_path / "build"
    for command in (["cmake", "-S", tmp_path, "-B", build], ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    libraries = list(build.rglob("libboth.a"))
    assert bool(libraries) == (switch == "y")
    if section:
        sections = ["objdump", "-h", str(libraries[0])]
        said = subprocess.run(sections, capture_output=True, text=True, check=True).stdout
        assert section in said


def test_the_sample_says_what_it_is(module: Path) -> None:
    sample = yaml.safe_load((module / "samples/both/sample.yaml").read_text())
    assert sample["sample"]["name"] == "both"
    assert sample["tests"] == {"sample.both": {"build_only": True}}
    assert (module / "samples/both/src/main.c").is_file()
