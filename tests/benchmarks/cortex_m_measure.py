"""What a model takes on a Cortex-M: instructions in an emulator, bytes of the linked program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.lowering.kernels.conv import ConvWork, DenseWork
from edgecomp.lowering.lower import lower
from edgecomp.model import Model
from edgecomp.pipeline import Options, compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session
from tests.benchmarks.cortex_m_networks import NETWORKS

Array = npt.NDArray[Any]

MODELS = {
    "kws": "kws_ref_model",
    "resnet8": "pretrainedResnet_quant",
    "vww": "vww_96_int8",
    "ad": "ad01_int8",
}
"""Reference models: the name of each file in the folder of models."""
DEVICES = {
    "M0+": "rp2040_pico",
    "M3": "qemu_mps2_an385",
    "M4": "qemu_mps2_an386",
    "M7": "qemu_mps2_an500",
    "M33": "qemu_mps2_an505",
    "M55": "qemu_mps3_an547",
}
MODES: Mapping[str, Sequence[str]] = {
    "M0+": ("balanced",),
    "M3": ("balanced",),
    "M4": ("speed", "balanced", "size"),
    "M7": ("balanced",),
    "M33": ("balanced",),
    "M55": ("speed", "balanced", "size"),
}
"""`--optimize` of the programs that are measured on each core; networks do without "size"."""
GOLDENS = 2
"""How many golden inputs each program runs: emulators take seconds for some."""


@dataclass(frozen=True)
class Row:
    """What one model takes on one core; sizes in bytes.

    Attributes:
        model: a reference model, or a network of `cortex_m_networks`.
        core: key of `DEVICES`.
        optimize: "speed", "balanced" or "size".
        exact: the outputs are those of TFLite's reference kernels, or of the program for the host.
        instructions: of one inference.
        macs: multiply-accumulate operations, of constant channels too.
        arena: with inputs and outputs.
        stack: worst case.
        statics: other RAM.
        code: of the program, without the bench firmware.
        tables: constants that are neither weights nor biases, and what their order adds.
        weights: int8 weights and int32 biases of convolutions and dense layers.
    """

    model: str
    core: str
    optimize: str
    exact: bool
    instructions: int
    macs: int
    arena: int
    stack: int
    statics: int
    code: int
    tables: int
    weights: int

    @property
    def ram(self) -> int:
        """All of it."""
        return self.arena + self.stack + self.statics

    @property
    def beyond(self) -> int:
        """Flash beyond the weights."""
        return self.code + self.tables


@dataclass(frozen=True)
class Subject:
    """A model with samples: inputs and wanted outputs, the first axis counts them."""

    name: str
    model: Model
    inputs: Array
    outputs: Array


def reference(name: str, folder: Path) -> Subject:
    """A reference model with its golden samples, from the folder of models."""
    golden = np.load(folder / "golden" / f"{MODELS[name]}.npz")
    model = load(folder / f"{MODELS[name]}.tflite")
    return Subject(name, model, golden["input_0"][:GOLDENS], golden["output_0_ref"][:GOLDENS])


def generated(name: str) -> Subject:
    """A network of `cortex_m_networks`, with what the program for the host makes of a sample."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / f"{name}.onnx"
        NETWORKS[name](path)
        model = load(path)
        manifest = compile_model(model, load_device("host"), Path(work) / "host.edge")
        random = np.random.default_rng(0)
        x = random.integers(-128, 128, (1, *manifest.inputs[0].shape)).astype(np.int8)
        with Session(open_artifact(Path(work) / "host.edge")) as session:
            return Subject(name, model, x, np.stack(session.engine.run([x[0]])))


def measure(subject: Subject, core: str, optimize: str) -> Row:
    """Compile, compare with the wanted outputs, count."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "program.edge"
        options = Options(optimize=optimize)
        manifest = compile_model(subject.model, load_device(DEVICES[core]), path, options=options)
        inputs = subject.inputs.reshape(-1, *manifest.inputs[0].shape)
        outputs = subject.outputs.reshape(-1, *manifest.outputs[0].shape)
        with Session(open_artifact(path)) as session:
            made = [session.engine.run([x])[0] for x in inputs]
            counts = session.engine.count([inputs[0]])
    exact = all(np.array_equal(y, z) for y, z in zip(made, outputs, strict=True))
    assert counts.stack_bytes <= manifest.memory.stack_bytes
    return _row(subject, core, optimize, manifest, exact, counts.instructions)


def _row(
    subject: Subject, core: str, optimize: str, manifest: Manifest, exact: bool, instructions: int
) -> Row:
    memory, flash = manifest.memory, manifest.flash
    weights = _weights_bytes(subject.model)
    return Row(
        model=subject.name,
        core=core,
        optimize=optimize,
        exact=exact,
        instructions=instructions,
        macs=sum(op.macs for op in manifest.ops),
        arena=memory.arena_bytes,
        stack=memory.stack_bytes,
        statics=memory.ram_bytes - memory.arena_bytes - memory.stack_bytes,
        code=flash.code_bytes,
        tables=flash.weights_bytes - weights,
        weights=weights,
    )


def _weights_bytes(model: Model) -> int:
    """Weights and biases, without those of channels that are folded away."""
    program = lower(model, integer_io=True, input_layout=None)
    operands = {
        name
        for call in program.calls
        if isinstance(program.kernels[call.kernel].work, (ConvWork, DenseWork))
        for name in [n for n in call.operands if n in program.constants][:2]
    }
    return sum(program.constants[name].nbytes for name in operands)


def measurements(subjects: Sequence[Subject], cores: Sequence[str]) -> Iterator[Row]:
    """A row for each of `subjects`, each of `cores` and each of its `MODES`."""
    for core in cores:
        for subject in subjects:
            for optimize in MODES[core]:
                if subject.name in MODELS or optimize != "size":
                    yield measure(subject, core, optimize)
