"""What `manifest.json` of an artifact says, as values.

The artifact format is owned here: the compiler writes with the same types the device reads with.

Version policy: `FORMAT_VERSION` is one integer. Adding a key keeps it; a reader ignores keys it
does not know. Removing a key or changing what one means raises it, and a reader refuses any version
but its own with a sentence that names both. `CODED_VERSION` is the same, of an artifact whose
constants are stored once, Huffman-coded: a reader that puts them back reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

FORMAT = "edgecomp-artifact"
FORMAT_VERSION = 1
CODED_VERSION = 2
STATE_NAME = "state.bin"
"""The member that holds the state a streaming model starts from."""


@dataclass(frozen=True)
class TensorSpec:
    """The signature of one model input or output.

    Attributes:
        name: the name in the user's file.
        shape: static shape, with its leading batch dimension where the model has one.
        dtype: numpy name of the element type the program takes or gives.
        scale: float32 scale when the tensor is quantized, so that real = scale * (q - zero_point).
        zero_point: the integer that stands for 0.0, when the tensor is quantized.
        layout: "nchw" or "nhwc" for a 4-d image tensor, when known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    layout: str | None = None


@dataclass(frozen=True)
class OpRecord:
    """One call of the program.

    Attributes:
        name: the node's name in the user's file (the anchor node, where several were fused).
        op: the operator, and those fused into it, as in "Conv+Relu".
        kernel: the C function that computes it.
        macs: multiply-accumulate operations.
        where: "integer" or "float".
        weights_bytes: constants this call reads.
        weights: how the weights are stored, where they are no plain array: "int4", "palette of 16
            values"; "" where they are, or there are none.
    """

    name: str
    op: str
    kernel: str
    macs: int
    where: str
    weights_bytes: int
    weights: str = ""


@dataclass(frozen=True)
class BufferRecord:
    """One planned buffer: bytes at an offset of the arena, live from call `first` to call `last`.

    Inputs are live from call 0, outputs until the last call. Buffers may share bytes during a call
    that reads the one and writes the other.

    Attributes:
        complete: the call that writes the last byte, where several write the buffer; None where
            that is `first`.
    """

    name: str
    offset: int
    bytes: int
    first: int
    last: int
    complete: int | None = None


@dataclass(frozen=True)
class PatchRecord:
    """Operators made together, a band of rows at a time, so that images are never there as a whole.

    Attributes:
        operators: names of the nodes, in order.
        rows: rows of the last one's output that a band makes.
        bands: how many bands there are.
        moved_bytes: of rows that are kept for the next band, which does not compute them again.
        extra_macs: multiply-accumulate operations beyond those of the operators made one by one.
    """

    operators: tuple[str, ...]
    rows: int
    bands: int
    moved_bytes: int
    extra_macs: int


@dataclass(frozen=True)
class Memory:
    """Bytes of RAM the program needs. `ram_bytes` is all of it."""

    arena_bytes: int
    arena_alignment: int
    state_bytes: int
    stack_bytes: int
    ram_bytes: int
    buffers: tuple[BufferRecord, ...] = ()


@dataclass(frozen=True)
class Flash:
    """Bytes the program needs of flash, or of the library on a system with files.

    `flash_bytes` = `weights_bytes` + `code_bytes`; tables count as code.
    """

    flash_bytes: int
    weights_bytes: int
    code_bytes: int


@dataclass(frozen=True)
class Machine:
    """What the code needs of the processor.

    Attributes:
        isa: "x86_64", "aarch64", "armv7" or "thumb".
        cpu: the compiler's name of the core the code was generated for.
        features: CPU flags that must be present, as /proc/cpuinfo spells them.
    """

    isa: str
    cpu: str
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """The whole manifest.

    Attributes:
        name: the model's name.
        symbol: prefix of every C symbol: `SYMBOL_run(inputs, outputs, arena)`.
        target: "cpu", "cortex_m" ...
        device: name of the device profile.
        profile: the device profile itself, so that the runtime needs no other file.
        machine: what the code needs of the processor.
        program: path in the artifact of what an engine loads (shared library or ELF image).
        inputs, outputs: signature of the compiled program, in the model's order.
        memory, flash: the numbers promised.
        ops: one record for each call, in order.
        patches: operators made in bands of rows to save RAM.
        passes: specs of the passes applied, in order.
        preprocess: the spec given by `--preprocess`, or None.
        producer: versions of what made the artifact.
        files: sha256 of every other file in the artifact.
    """

    name: str
    symbol: str
    target: str
    device: str
    profile: Mapping[str, Any]
    machine: Machine
    program: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    memory: Memory
    flash: Flash
    ops: tuple[OpRecord, ...]
    passes: tuple[str, ...] = ()
    preprocess: str | None = None
    producer: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[PatchRecord, ...] = ()

    @property
    def taken(self) -> tuple[TensorSpec, ...]:
        """What an engine passes in: the inputs, and last the state of a streaming model."""
        return (*self.inputs, *self._state())

    @property
    def given(self) -> tuple[TensorSpec, ...]:
        """What an engine brings out: the outputs, and last the state of a streaming model."""
        return (*self.outputs, *self._state())

    def _state(self) -> tuple[TensorSpec, ...]:
        size = self.memory.state_bytes
        return (TensorSpec("state", (size,), "uint8"),) if size else ()

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one inference."""
        return sum(op.macs for op in self.ops)

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain JSON values, with the format's name and version first."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}


def _only(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `values` that `cls` knows: newer writers may add keys."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{cls.__name__} is {values!r}")
    known = {f.name for f in fields(cls)}
    return {key: value for key, value in values.items() if key in known}


def _tensor(values: Mapping[str, Any]) -> TensorSpec:
    known = _only(TensorSpec, values)
    known["shape"] = tuple(known["shape"])
    return TensorSpec(**known)


def _patch(values: Mapping[str, Any]) -> PatchRecord:
    known = _only(PatchRecord, values)
    known["operators"] = tuple(known["operators"])
    return PatchRecord(**known)


def manifest_from_json(values: Mapping[str, Any]) -> Manifest:
    """The manifest that `Manifest.to_json` wrote.

    Raises:
        ValueError: another format or version, or a key is missing.
    """
    if values.get("format") != FORMAT:
        raise ValueError(f"this is not an {FORMAT} manifest")
    if values.get("format_version") not in (FORMAT_VERSION, CODED_VERSION):
        raise ValueError(
            f"the artifact has format version {values.get('format_version')}, this runtime reads "
            f"versions {FORMAT_VERSION} and {CODED_VERSION}; compile the model again or install "
            "the runtime that fits"
        )
    try:
        known = _only(Manifest, values)
        memory = _only(Memory, known["memory"])
        memory["buffers"] = tuple(
            BufferRecord(**_only(BufferRecord, b)) for b in memory.get("buffers", ())
        )
        machine = _only(Machine, known["machine"])
        machine["features"] = tuple(machine.get("features", ()))
        known.update(
            machine=Machine(**machine),
            memory=Memory(**memory),
            flash=Flash(**_only(Flash, known["flash"])),
            inputs=tuple(_tensor(t) for t in known["inputs"]),
            outputs=tuple(_tensor(t) for t in known["outputs"]),
            ops=tuple(OpRecord(**_only(OpRecord, o)) for o in known["ops"]),
            passes=tuple(known.get("passes", ())),
            patches=tuple(_patch(p) for p in known.get("patches", ())),
        )
        return Manifest(**known)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the manifest lacks or misspells a key ({error})") from error
