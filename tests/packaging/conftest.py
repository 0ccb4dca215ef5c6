"""What tests of packages share: artifacts, a way to package them, and programs built of the C."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import parser

from edgecomp.calibration import CalibrationData
from edgecomp.commands.package import package_files
from edgecomp.compress import compress
from edgecomp.demo import load_split, model_path
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.importers.onnx import normalise
from edgecomp.model import Model, State
from edgecomp.packaging.project import Labels
from edgecomp.passes.quantize import Quantize
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import Artifact, open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")

# A state whose next value depends on it: the sum of all samples so far, times the newest.
STREAMING = """
<ir_version: 10, opset_import: ["" : 21]>
streaming (float[1,2] x, float[1,2] sum) => (float[1,2] y, float[1,2] next)
{
    next = Add (sum, x)
    y = Mul (next, x)
}
"""


@dataclass(frozen=True)
class HostProgram:
    """A program for this machine that runs packaged models in turn over one arena.

    It reads one input of every model after the other, and writes the outputs likewise.
    """

    path: Path
    manifests: tuple[Manifest, ...]

    def run(self, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """The output of every model for every sample, each of which has an input for each model."""
        given = b"".join(array.tobytes() for sample in samples for array in sample)
        done = subprocess.run([self.path], input=given, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        rest, results = memoryview(done.stdout), []
        for _ in samples:
            outputs = []
            for manifest in self.manifests:
                (spec,) = manifest.outputs
                size = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
                outputs.append(np.frombuffer(rest[:size], spec.dtype).reshape(spec.shape))
                rest = rest[size:]
            results.append(outputs)
        assert not rest
        return results


def require(tool: str, package: str) -> str:
    """The path of a tool; without it the test fails."""
    path = shutil.which(tool)
    if path is None:
        pytest.fail(f"{tool} is missing: install the Debian package {package}", pytrace=False)
    return path


def driver(header: str, manifests: Sequence[Manifest]) -> str:
    """C of a `HostProgram`; buffers of their exact sizes, so that a sanitizer sees every slip.

    `malloc` aligns to 16 bytes here.
    """
    largest = "0"
    for manifest in manifests:
        largest = f"EDGECOMP_LARGER({largest}, {manifest.symbol}_ARENA_BYTES)"
    setups, runs = [], []
    for manifest in manifests:
        s = manifest.symbol
        setups.append(
            f"  void *{s}_in = malloc({s}_INPUT_0_BYTES);\n"
            f"  void *{s}_out = malloc({s}_OUTPUT_0_BYTES);\n"
            f"  void *{s}_copy = malloc({s}_INPUT_0_BYTES);\n"
            f"  const {s}_inputs {s}_i = {{{s}_in}};\n  const {s}_outputs {s}_o = {{{s}_out}};\n"
        )
        if manifest.memory.state_bytes:
            setups.append(f"  void *{s}_state = malloc({s}_STATE_BYTES);\n")
            setups.append(f"  {s}_reset({s}_state);\n")
        state = f", {s}_state" if manifest.memory.state_bytes else ""
        runs.append(
            f"    if (fread({s}_in, 1, {s}_INPUT_0_BYTES, stdin) != {s}_INPUT_0_BYTES) return 0;\n"
            f"    memcpy({s}_copy, {s}_in, {s}_INPUT_0_BYTES);\n"
            f"    {s}_run(&{s}_i, &{s}_o, arena{state});\n"
            f"    if (memcmp({s}_copy, {s}_in, {s}_INPUT_0_BYTES)) return 1; /* it is const */\n"
            f"    fwrite({s}_out, 1, {s}_OUTPUT_0_BYTES, stdout);\n"
        )
    return (
        f'#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include "{header}"\n'
        # all is in use until the end
        'const char *__asan_default_options(void) { return "detect_leaks=0"; }\n'
        f"int main(void) {{\n  void *arena = malloc({largest});\n{''.join(setups)}"
        f"  for (;;) {{\n{''.join(runs)}  }}\n}}\n"
    )


@pytest.fixture(scope="session")
def int8_digits(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The demo's model in int8."""
    train, _ = load_split()
    path = tmp_path_factory.mktemp("digits") / "train.npz"
    np.savez(path, **train)
    return compress(load(model_path()), [Quantize(samples=16)], CalibrationData(path))


@pytest.fixture(scope="session")
def digits(
    int8_digits: Model, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Artifact]:
    """The demo's model in int8 for a device."""
    made: dict[str, Artifact] = {}
    folder = tmp_path_factory.mktemp("artifacts")

    def make(device: str) -> Artifact:
        if device not in made:
            path = folder / f"{device}.edge"
            compile_model(int8_digits, load_device(device), path)
            made[device] = open_artifact(path)
        return made[device]

    return make


@pytest.fixture(scope="session")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A streaming model in float."""
    imported = normalise(parser.parse_model(STREAMING), {}, {}, "streaming")
    model = replace(
        imported,
        inputs=imported.inputs[:1],
        outputs=imported.outputs[:1],
        states=(State("sum", "next", np.full((1, 2), 0.5, np.float32)),),
    )
    path = tmp_path_factory.mktemp("streaming") / "streaming.edge"
    compile_model(model, load_device("nucleo_l4r5zi"), path)
    return open_artifact(path)


@pytest.fixture
def package(tmp_path: Path) -> Callable[..., Path]:
    """Package artifacts as a kind; gives the folder."""

    def make(kind: str, *artifacts: Artifact, name: str | None = None, **labels: str) -> Path:
        folder = tmp_path / f"{kind} package"
        package_files(
            [artifact.path for artifact in artifacts], kind, folder, Labels(name, **labels)
        )
        return folder

    return make


@pytest.fixture
def host_program(tmp_path: Path) -> Callable[..., HostProgram]:
    """Build the C of the folder `package` for this machine with gcc and `flags`."""

    def build(package: Path, *artifacts: Artifact, flags: Sequence[str] = ("-O2",)) -> HostProgram:
        manifests = tuple(artifact.manifest for artifact in artifacts)
        headers = sorted(package.glob("*.h"), key=lambda path: path.stat().st_size)
        main = tmp_path / "main.c"
        main.write_text(driver(headers[0].name, manifests))
        program = tmp_path / "program"
        sources = [str(path) for path in package.glob("*.c")]
        command = [require("gcc", "gcc"), "-std=gnu11", *flags, *WARNINGS, f"-I{package}"]
        subprocess.run([*command, *sources, str(main), "-o", str(program)], check=True)
        return HostProgram(program, manifests)

    return build


@pytest.fixture(scope="session")
def raw_digits() -> Array:
    """A few digits, and noise, in the program's int8."""
    _, test = load_split()
    seen = np.round(test["image"][:2] * 255 - 128).astype(np.int8)
    noise = np.random.default_rng(3).integers(-128, 128, (1, 1, 8, 8)).astype(np.int8)
    extremes = np.stack([np.full((1, 8, 8), value, np.int8) for value in (-128, 127)])
    return np.concatenate([seen, noise, extremes])


@pytest.fixture(scope="session")
def outputs_of() -> Callable[[Artifact, Sequence[Array]], list[Array]]:
    """What an artifact's own program gives for inputs in its own type."""

    def run(artifact: Artifact, samples: Sequence[Array]) -> list[Array]:
        shape = artifact.manifest.inputs[0].shape
        with Session(artifact) as session:
            given = ([sample.reshape(shape)] for sample in samples)
            return [outputs[0] for outputs, _ in session.run_raw(given)]

    return run
