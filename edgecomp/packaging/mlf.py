"""`--as mlf`: TVM's Model Library Format, for build scripts made for microTVM.

Layout and keys are those of version 7 (TVM 0.10: docs/arch/model_library_format.rst, and
python/tvm/micro/model_library_format.py for what the text leaves open).
"""

from __future__ import annotations

import io
import json
import math
import struct
import tarfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecomp.lowering.c_names import C_TYPES, unique_names
from edgecomp.packaging.project import Files, PackagedModel, Project
from edgecomp.packaging.readme import readme
from edgecomp.packaging.templates import filled
from edgecomp_runtime.manifest import TensorSpec

VERSION = 7
_CPU = 1  # DLPack's kDLCPU
_PARAMETERS_MAGIC = 0xF7E58D4F05049CB7  # kTVMNDArrayListMagic
_NO_DATE = "1980-01-01 00:00:00Z"  # the same contents every time


def mlf_files(project: Project) -> Files:
    """The package: the tar, and a text on it."""
    modules = {model.symbol: _module(model) for model in project.models}
    metadata = {"version": VERSION, "modules": modules}
    content: dict[str, str | bytes] = {
        "metadata.json": json.dumps(metadata, indent=2, sort_keys=True) + "\n",
        **project.code("codegen/host/src", "codegen/host/include"),
    }
    for model in project.models:
        content[f"parameters/{model.symbol}.params"] = _no_parameters()
        if not model.manifest.memory.state_bytes:
            path = f"codegen/host/include/tvmgen_{model.symbol}.h"
            content[path] = _interface(model)
    use = filled("mlf/use.md", NAME=project.name)
    return {f"{project.name}.tar": _tar(content), "README.md": readme(project, use)}


def _module(model: PackagedModel) -> dict[str, Any]:
    manifest = model.manifest
    inputs, outputs = _tensors(manifest.inputs), _tensors(manifest.outputs)
    main = {
        "device": _CPU,
        "workspace_size_bytes": manifest.memory.arena_bytes,
        "constants_size_bytes": manifest.flash.weights_bytes,
        "io_size_bytes": sum(each["size"] for each in [*inputs.values(), *outputs.values()]),
        "inputs": inputs,
        "outputs": outputs,
    }
    operators = [
        {
            "function_name": f"{model.symbol}_{name}",
            # part of main's: one plan for the whole program
            "workspace": [{"device": _CPU, "workspace_size_bytes": 0}],
        }
        for name in dict.fromkeys(op.kernel for op in manifest.ops)
    ]
    return {
        "model_name": model.symbol,
        "export_datetime": _NO_DATE,
        "memory": {"functions": {"main": [main], "operator_functions": operators}},
        "target": [f"c -keys=cpu -mcpu={manifest.machine.cpu}"],
        "executors": ["aot"],
        "style": "full-model",
    }


def _tensors(specs: Sequence[TensorSpec]) -> dict[str, dict[str, Any]]:
    names = unique_names([spec.name for spec in specs])
    return {
        names[spec.name]: {
            "dtype": spec.dtype,
            "size": math.prod(spec.shape) * np.dtype(spec.dtype).itemsize,
        }
        for spec in specs
    }


def _interface(model: PackagedModel) -> str:
    """The header `tvmgen_SYMBOL.h`: pointers to void in structures, by the tensors' names."""

    def members(specs: Sequence[TensorSpec]) -> str:
        return "\n".join(f"  void *{name};" for name in _tensors(specs))

    def casts(pointer: str, const: str, specs: Sequence[TensorSpec]) -> str:
        named = zip(_tensors(specs), specs, strict=True)
        return ", ".join(f"({const}{C_TYPES[s.dtype]} *){pointer}->{name}" for name, s in named)

    inputs, outputs = model.manifest.inputs, model.manifest.outputs
    return filled(
        "mlf/tvmgen.h",
        SYMBOL=model.symbol,
        GUARD=model.symbol.upper(),
        INPUTS=members(inputs),
        OUTPUTS=members(outputs),
        GIVEN=casts("inputs", "const ", inputs),
        TAKEN=casts("outputs", "", outputs),
    )


def _no_parameters() -> bytes:
    """An empty dictionary as TVM saves it: magic, reserved, no names, no arrays."""
    return struct.pack("<QQQQ", _PARAMETERS_MAGIC, 0, 0, 0)


def _tar(files: Files) -> bytes:
    """The same bytes for the same files; names begin with ./ as TVM's do."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, contents in sorted(files.items()):
            data = contents.encode() if isinstance(contents, str) else contents
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
