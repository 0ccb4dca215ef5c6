"""Compiled programs as what firmware projects take: one module for each kind of package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgecomp.packaging.c import c_files
from edgecomp.packaging.cmake import cmake_files
from edgecomp.packaging.project import Files, Project


@dataclass(frozen=True)
class Kind:
    """A kind of package: one line on it, and what makes its files."""

    summary: str
    files: Callable[[Project], Files]


KINDS: Mapping[str, Kind] = {
    "c": Kind("one .c and one .h for any compiler", c_files),
    "cmake": Kind("a static library that find_package finds, and an example", cmake_files),
}
"""Every kind of package by name."""
