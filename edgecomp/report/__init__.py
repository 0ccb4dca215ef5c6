"""What people read of the result of a command: tables and a few lines."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from edgecomp.report.tables import Lines

# command: module and function; imported when needed, for some of them take seconds
REPORTS: Mapping[str, tuple[str, str]] = {
    "demo": ("measurements", "demo_lines"),
    "devices": ("catalog", "device_lines"),
    "targets": ("catalog", "target_lines"),
    "passes": ("catalog", "pass_lines"),
    "inspect": ("programs", "inspection_lines"),
    "compress": ("programs", "compressed_lines"),
    "sensitivity": ("sensitivities", "sensitivity_lines"),
    "diagnose": ("diagnoses", "diagnosis_lines"),
    "compile": ("programs", "compiled_lines"),
    "run": ("measurements", "run_lines"),
    "verify": ("measurements", "verify_lines"),
    "evaluate": ("measurements", "evaluation_lines"),
    "bench": ("measurements", "bench_lines"),
    "package": ("packages", "package_lines"),
}


def report(command: str, result: Any) -> Lines:
    """The report of what `command` returned."""
    module, function = REPORTS[command]
    lines: Lines = getattr(importlib.import_module(f"{__name__}.{module}"), function)(result)
    return lines
