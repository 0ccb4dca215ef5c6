"""`edgerun`: load, run and measure artifacts on a device. The only module that prints or exits."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.errors import RuntimeInputError
from edgecomp_runtime.links import bench_artifact, run_artifact
from edgecomp_runtime.measure import REPEAT, WARMUP
from edgecomp_runtime.measurement import Measurement
from edgecomp_runtime.summary import artifact_summary

_EXIT_OK, _EXIT_INPUT, _EXIT_INTERRUPTED = 0, 1, 130
_STATE = "of a streaming model: carried from sample to sample, or reset before each (%(default)s)"
_LINKS = "native:, unicorn:, qemu: or ssh://user@host:port; by default what fits the artifact"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `edgerun`.

    Args:
        arguments: the command line without the program's name; by default this process's.

    Returns:
        0 if all went well, 1 if the user's input cannot be used. Wrong usage exits with 2.
    """
    options = _parser().parse_args(arguments)
    try:
        _COMMANDS[options.command](options)
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except Exception as error:
        if os.environ.get("EDGECOMP_DEBUG") == "1":
            raise
        for sentence in _sentences(error):
            print(f"edgerun: {sentence}", file=sys.stderr)
        return _EXIT_INPUT
    return _EXIT_OK


def _sentences(error: Exception) -> Sequence[str]:
    if isinstance(error, RuntimeInputError):
        return error.reasons
    if isinstance(error, OSError) and error.filename is not None:
        return [f"{error.filename}: {error.strerror}"]
    return [f"{type(error).__name__}: {error} (EDGECOMP_DEBUG=1 shows where)"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("edgerun", description="Load, run and measure .edge files.")
    commands = parser.add_subparsers(dest="command", required=True)

    info = commands.add_parser("info", help="what an artifact is and needs")
    run = commands.add_parser("run", help="run it on the samples of an .npz file")
    bench = commands.add_parser("bench", help="measure its latency and energy")
    for command in (info, run, bench):
        command.add_argument("file", metavar="FILE", help="the artifact, as in model.edge")
        command.add_argument("--json", action="store_true", help="print JSON for scripts")
    for command in (run, bench):
        command.add_argument("--on", metavar="LINK", help=_LINKS)

    run.add_argument("--input", required=True, metavar="X.npz", help="samples to run")
    run.add_argument("--state", choices=("carry", "reset"), default="reset", help=_STATE)
    run.add_argument("-o", "--output", required=True, metavar="Y.npz", help="file to write")
    bench.add_argument("--input", metavar="X.npz", help="samples to measure with")
    bench.add_argument("--repeat", type=int, default=REPEAT, help="timed inferences (%(default)s)")
    bench.add_argument("--warmup", type=int, default=WARMUP, help="before them (%(default)s)")
    return parser


def _info(options: argparse.Namespace) -> None:
    summary = artifact_summary(open_artifact(options.file).manifest)
    if options.json:
        _print_json(summary)
        return
    print(f"{summary['name']} for {summary['device']} ({summary['isa']}, {summary['cpu']})")
    for kind in ("inputs", "outputs"):
        for spec in summary[kind]:
            print(f"{kind[:-1]:<14} {_tensor_text(spec)}")
    for key in ("flash_bytes", "ram_bytes", "arena_bytes", "stack_bytes", "macs"):
        unit = " bytes" if key.endswith("_bytes") else ""
        print(f"{key.replace('_bytes', ''):<14} {summary[key]:,}{unit}")
    print(f"{'passes':<14} {', '.join(summary['passes']) or 'none'}")
    columns = ("name", "op", "where", "macs")
    print(_table(columns, [[op[key] for key in columns] for op in summary["ops"]]))


def _run(options: argparse.Namespace) -> None:
    carry = options.state == "carry"
    count = run_artifact(options.file, options.input, options.output, options.on, _progress, carry)
    if options.json:
        _print_json({"samples": count, "output": options.output})
    else:
        print(f"{options.output}: outputs of {count} samples")


def _bench(options: argparse.Namespace) -> None:
    measurement = bench_artifact(
        options.file, options.on, options.input, options.repeat, options.warmup, _progress
    )
    if options.json:
        _print_json(measurement.to_json())
    else:
        print(_measurement_text(measurement))


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "info": _info,
    "run": _run,
    "bench": _bench,
}


def _progress(done: int, total: int) -> None:
    """Show on a terminal how far the work is."""
    if sys.stderr.isatty():
        ending = "\n" if done == total else ""
        print(f"\r{done}/{total}", end=ending, file=sys.stderr, flush=True)


def _print_json(values: Mapping[str, Any]) -> None:
    print(json.dumps(values, indent=1, allow_nan=False))


def _tensor_text(spec: Mapping[str, Any]) -> str:
    shape = "x".join(str(axis) for axis in spec["shape"]) or "scalar"
    quantized = spec["scale"] is not None
    scale = f" scale {spec['scale']:.6g} zero point {spec['zero_point']}" if quantized else ""
    return f"{spec['name']} {spec['dtype']} {shape}{scale}"


def _measurement_text(measurement: Measurement) -> str:
    """The measurement for people; a modelled figure says so on its own line."""
    environment = measurement.environment
    lines = [f"{'device':<14} {measurement.device} on {measurement.link}"]
    if measurement.instructions is not None:
        lines.append(f"{'instructions':<14} {measurement.instructions:,} (exact)")
    if measurement.cycles is not None:
        lines.append(f"{'cycles':<14} {measurement.cycles:,.0f} (modelled)")
    for percent in (50, 90, 99):
        latency = measurement.percentile_s(percent)
        if latency is not None:
            kind = measurement.latency_kind
            lines.append(f"{f'latency p{percent}':<14} {latency * 1e3:.4g} ms ({kind})")
    lines.append(f"{'energy':<14} {measurement.energy}")
    facts = [environment.cpu_model, environment.kernel, environment.governor]
    lines.append(f"{'environment':<14} {', '.join(fact for fact in facts if fact)}")
    rows = [[op.name, op.op, op.instructions] for op in measurement.per_op if op.instructions]
    return "\n".join(lines) + ("\n" + _table(("name", "op", "instructions"), rows) if rows else "")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need be, numbers to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells)]
    numeric = [bool(rows) and isinstance(cell, int) for cell in (rows[0] if rows else columns)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric)
        ).rstrip()
        for row in [list(columns), *cells]
    )


if __name__ == "__main__":
    sys.exit(main())
