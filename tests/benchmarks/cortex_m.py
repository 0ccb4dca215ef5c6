"""Instructions, RAM and flash of the reference models on every Cortex-M, beside TFLM's.

    python -m tests.benchmarks.cortex_m [--models FOLDER] [--core NAME ...] [--update] [--readme]

Every program runs on golden inputs first, and its outputs must be the golden ones. `--update` also
measures the networks of `cortex_m_networks` and puts all into `results/cortex_m.json`, which
`tests/targets/cortex_m/test_counts.py` holds every program to.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from edgecomp_runtime.files import whole_file
from tests.benchmarks.cortex_m_measure import (
    DEVICES,
    MODELS,
    Row,
    generated,
    measurements,
    reference,
)
from tests.benchmarks.cortex_m_networks import NETWORKS

RESULTS = Path(__file__).parent / "results" / "cortex_m.json"
VERSIONS = ("apache-tvm", "ziglang", "unicorn", "numpy")

# TFLM with CMSIS-NN, gcc 12.2 -O2, instructions for one inference under QEMU at -icount shift=0
# (the microcontroller table of the project's anchors); its arena in bytes.
TFLM = {
    ("kws", "M4"): (7_700_800, 22_820),
    ("resnet8", "M4"): (29_864_480, 54_996),
    ("vww", "M4"): (24_104_080, 100_708),
    ("ad", "M4"): (583_680, 2_580),
    ("kws", "M55"): (1_817_406, 22_820),
    ("resnet8", "M55"): (4_913_375, 54_996),
    ("vww", "M55"): (6_561_031, 100_708),
    ("ad", "M55"): (286_312, 2_580),
}
# What the project wants: instructions for speed; RAM, and flash beyond the weights when balanced.
MOST_INSTRUCTIONS = {
    ("kws", "M4"): 3_400_000,
    ("resnet8", "M4"): 12_900_000,
    ("vww", "M4"): 5_500_000,
    ("ad", "M4"): 320_000,
    ("kws", "M55"): 900_000,
    ("resnet8", "M55"): 2_500_000,
    ("vww", "M55"): 2_400_000,
    ("ad", "M55"): 150_000,
}
MOST_RAM = {"kws": 17_500, "resnet8": 52_000, "vww": 58_000, "ad": 1_500}
MOST_BEYOND = {"kws": 16_000, "resnet8": 20_000, "vww": 24_000, "ad": 8_000}

Rows = Mapping[tuple[str, str, str], Row]
"""By model, core and `--optimize`."""


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _against(value: int, most: int | None) -> str:
    """`value`, and whether it is within the line."""
    if most is None:
        return f"{value:,}"
    return f"{value:,} ({'ok' if value <= most else 'missed'}, {most:,})"


def instructions_table(rows: Rows) -> str:
    """Instructions of one inference: a line for each model and core."""
    lines = []
    for model, core in dict.fromkeys((row.model, row.core) for row in rows.values()):
        tflm = TFLM.get((model, core), (None,))[0]
        found = {mode: rows.get((model, core, mode)) for mode in ("speed", "balanced", "size")}
        best = found["speed"] or found["balanced"]
        assert best is not None
        most = MOST_INSTRUCTIONS.get((model, core))
        cells = [
            "-" if row is None else _against(row.instructions, most if mode == "speed" else None)
            for mode, row in found.items()
        ]
        lines.append(
            [
                model,
                core,
                *cells,
                f"{best.instructions / best.macs:.2f}",
                f"{tflm:,}" if tflm else "-",
                f"{tflm / best.instructions:.2f}x" if tflm else "-",
            ]
        )
    headings = (
        "model",
        "core",
        "speed",
        "balanced",
        "size",
        "per MAC",
        "TFLM + CMSIS-NN",
        "faster",
    )
    return _table(headings, lines)


def bytes_table(rows: Rows) -> str:
    """RAM and flash by part, balanced; beyond the weights also for size."""
    lines = []
    for (model, core, mode), row in rows.items():
        if mode != "balanced":
            continue
        arena, small = TFLM.get((model, core), (0, 0))[1], rows.get((model, core, "size"))
        lines.append(
            [
                model,
                core,
                *(f"{value:,}" for value in (row.arena, row.stack, row.statics)),
                _against(row.ram, MOST_RAM[model]),
                f"{arena:,}" if arena else "-",
                *(f"{value:,}" for value in (row.weights, row.tables, row.code)),
                _against(row.beyond, MOST_BEYOND[model]),
                f"{small.beyond:,}" if small else "-",
            ]
        )
    headings = (
        *("model", "core", "arena", "stack", "statics", "RAM", "TFLM's arena"),
        *("weights", "tables", "code", "tables + code", "for size"),
    )
    return _table(headings, lines)


README_CORES = ("M4", "M55")
"""Those with a line to reach; the README has a table of them, and a short one of the others."""


def readme_tables(rows: Rows) -> str:
    """The two tables of the README."""
    lines = []
    for core in README_CORES:
        for model in MODELS:
            fast, row = rows[model, core, "speed"], rows[model, core, "balanced"]
            tflm, arena = TFLM[model, core]
            most = MOST_INSTRUCTIONS[model, core], MOST_RAM[model], MOST_BEYOND[model]
            numbers = (fast.instructions, most[0], row.instructions, tflm)
            sizes = (row.ram, most[1], arena, row.beyond, most[2])
            ratio = f"{tflm / fast.instructions:.2f}x"
            cells = [*(f"{n:,}" for n in numbers), ratio, *(f"{n:,}" for n in sizes)]
            lines.append([model, core, *cells])
    headings = (
        *("model", "core", "instructions, speed", "line", "balanced", "TFLM + CMSIS-NN", "fewer"),
        *("RAM", "line", "TFLM's arena", "tables + code", "line"),
    )
    others = [core for core in DEVICES if core not in README_CORES]
    short = [
        [
            model,
            *(f"{rows[model, core, 'balanced'].instructions:,}" for core in others),
            f"{rows[model, 'M4', 'balanced'].weights:,}",
        ]
        for model in MODELS
    ]
    return f"{_table(headings, lines)}\n\n{_table(('model', *others, 'weights, bytes'), short)}"


def read_results() -> list[Row]:
    """The committed rows, of reference models and of networks."""
    if not RESULTS.exists():
        return []
    return [Row(**row) for row in json.loads(RESULTS.read_text())["rows"]]


def _write_results(measured: Sequence[Row]) -> None:
    """Put `measured` in the place of earlier rows of the same models, cores and modes."""
    rows = {(row.model, row.core, row.optimize): row for row in (*read_results(), *measured)}
    results = {
        "command": "python -m tests.benchmarks.cortex_m --update",
        "versions": {name: version(name) for name in VERSIONS},
        "rows": [asdict(rows[key]) for key in sorted(rows)],
    }
    with whole_file(RESULTS) as stream:
        stream.write(f"{json.dumps(results, indent=1)}\n".encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 when a program's outputs are not the wanted ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    shared = Path(__file__).resolve().parents[3] / "shared" / "models"
    parser.add_argument("--models", type=Path, default=shared)
    parser.add_argument("--core", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--update", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--readme", action="store_true", help=f"print {RESULTS.name} as there")
    options = parser.parse_args(arguments)
    if options.readme:
        known = {(row.model, row.core, row.optimize): row for row in read_results()}
        print(readme_tables(known))
        return 0
    subjects = [reference(name, options.models) for name in options.model]
    if options.update:
        subjects += [generated(name) for name in NETWORKS]
    rows = []
    for row in measurements(subjects, options.core):
        print(row, file=sys.stderr)
        rows.append(row)
    table = {(row.model, row.core, row.optimize): row for row in rows if row.model in MODELS}
    print(instructions_table(table), bytes_table(table), sep="\n\n")
    if options.update:
        _write_results(rows)
    return 0 if all(row.exact for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
