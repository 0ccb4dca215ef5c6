"""Compiled programs as what firmware projects take: one module for each kind of package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgecomp.packaging.arduino import arduino_files
from edgecomp.packaging.c import c_files
from edgecomp.packaging.cmake import cmake_files
from edgecomp.packaging.cmsis_pack import cmsis_pack_files
from edgecomp.packaging.mlf import mlf_files
from edgecomp.packaging.platformio import platformio_files
from edgecomp.packaging.project import Files, Project
from edgecomp.packaging.zephyr import zephyr_files


@dataclass(frozen=True)
class Kind:
    """A kind of package: one line on it, and what makes its files."""

    summary: str
    files: Callable[[Project], Files]


KINDS: Mapping[str, Kind] = {
    "c": Kind("one .c and one .h for any compiler", c_files),
    "cmake": Kind("a static library that find_package finds, and an example", cmake_files),
    "arduino": Kind("a library for the Arduino IDE, and an example", arduino_files),
    "platformio": Kind("a library for PlatformIO, and an example", platformio_files),
    "zephyr": Kind("a module for Zephyr, and a sample", zephyr_files),
    "cmsis-pack": Kind("a software pack for Keil MDK and csolution", cmsis_pack_files),
    "mlf": Kind("TVM's Model Library Format", mlf_files),
}
"""Every kind of package by name."""
