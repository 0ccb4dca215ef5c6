"""Several small models as one, so that all of them are compiled at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx
import onnx.compose
import onnx_ir as ir

from edgecomp.model import Model


def together(models: Mapping[str, Model]) -> Model:
    """One model that computes all of `models`; names of inputs and outputs get the key before them.

    The values of input `x` of the model under `add` are given as `add/x`.
    """
    parts = {key: _prefixed(model, f"{key}/") for key, model in models.items()}
    first = next(iter(parts.values()))
    whole = onnx.ModelProto()
    whole.CopyFrom(first)
    for part in list(parts.values())[1:]:
        for field in ("node", "initializer", "input", "output", "value_info"):
            getattr(whole.graph, field).extend(getattr(part.graph, field))
        whole.functions.extend(f for f in part.functions if not _known(f, whole))
        known = {opset.domain for opset in whole.opset_import}
        whole.opset_import.extend(o for o in part.opset_import if o.domain not in known)
    return Model(
        name="together",
        graph=ir.from_proto(whole),
        inputs=tuple(
            replace(spec, name=f"{key}/{spec.name}")
            for key, model in models.items()
            for spec in model.inputs
        ),
        outputs=tuple(
            replace(spec, name=f"{key}/{spec.name}")
            for key, model in models.items()
            for spec in model.outputs
        ),
    )


def _prefixed(model: Model, prefix: str) -> onnx.ModelProto:
    return onnx.compose.add_prefix(ir.to_proto(model.graph), prefix)


def _known(function: onnx.FunctionProto, model: onnx.ModelProto) -> bool:
    return any((f.domain, f.name) == (function.domain, function.name) for f in model.functions)
