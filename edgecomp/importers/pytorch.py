"""PyTorch module or .pt2 file -> Model, through `torch.export` and ONNX.

torch is imported when this is used, never before.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from onnx_ir.passes import common

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.importers.onnx import normalise
from edgecomp.importers.onnx_file import MAX_BYTES
from edgecomp.importers.pt2_archive import read_archive
from edgecomp.importers.quiet import quiet
from edgecomp.model import Model

OLDEST_TORCH = (2, 6)
"""The first whose ONNX exporter takes exported programs without further packages."""

_SCOPES = "pkg.torch.onnx.name_scopes"
"""The exporter's note on a node: names of the modules around it, then of the operation."""


def from_torch(
    module: Any,
    example_inputs: Any,
    *,
    name: str | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_shapes: Any = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    bindings: Mapping[str, Any] | None = None,
) -> Model:
    """The model that a PyTorch module computes in evaluation mode.

    Nodes bear the names of their modules (`blocks.0.conv`), followed by that of the operation
    where a module has several (`blocks.0/relu`). Parameters that modules share are stored once.

    Args:
        module: a `torch.nn.Module`; its training mode is as before afterwards.
        example_inputs: a tensor, a sequence of tensors in the order of `forward`'s arguments, or
            a mapping from argument to tensor. Their shapes and types are those of the model,
            except for dimensions that `dynamic_shapes` leaves open.
        name: the name of the model, by default the module's class.
        input_names: names of the inputs, by default those of `forward`'s arguments.
        output_names: names of the outputs, by default those of the operations that make them.
        dynamic_shapes: what `torch.export.export` takes by that name. An open first dimension
            becomes 1, other open ones need `shapes`.
        shapes: static shape by input name, for inputs with open dimensions.
        bindings: value by input name, for inputs to turn into constants.

    Raises:
        EdgecompError: torch is missing or too old, an input is no tensor, torch cannot export the
            module, or the exported model cannot be used (every reason).
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise EdgecompError(
            Reason(f"a {type(module).__name__} is no torch.nn.Module", fix="give a module")
        )
    where = name or type(module).__name__
    arguments, keywords = _tensors(torch, example_inputs)
    with _evaluating(module), quiet():
        try:
            program = torch.export.export(
                module, arguments, keywords, dynamic_shapes=dynamic_shapes
            )
        except Exception as error:  # torch.export raises many types, some of them its own
            raise EdgecompError(
                Reason(f"torch.export cannot export the module: {_cause(error)}", where)
            ) from error
        proto = _to_onnx(torch, program, where, input_names, output_names)
    return _shared(normalise(proto, shapes or {}, bindings or {}, where))


def load_pt2(
    path: Path, shapes: Mapping[str, Sequence[int]], bindings: Mapping[str, Any], name: str
) -> Model:
    """The model in a file of `torch.export.save`, normalised.

    The file need not be trusted: nothing in it is unpickled, evaluated or run; a file that needs
    that is refused. See `edgecomp.importers.pt2_archive`.

    Args:
        path: a `.pt2` file.
        shapes: static shapes of inputs with open dimensions.
        bindings: inputs to turn into constants, with their values.
        name: the name of the model.

    Raises:
        EdgecompError: every reason why the model cannot be used.
    """
    archive = read_archive(path)
    torch = _torch()
    with quiet():
        try:
            program = torch.export.load(io.BytesIO(archive))
        except Exception as error:  # whatever a damaged program leads to
            raise EdgecompError(
                Reason(
                    f"torch {torch.__version__} cannot load the program: {_cause(error)}",
                    str(path),
                    "save it again with this version of torch",
                )
            ) from error
        proto = _to_onnx(torch, program, str(path), None, None)
    return _shared(normalise(proto, shapes, bindings, name, path))


def _torch() -> Any:
    """The torch package."""
    try:
        import torch
    except ImportError as error:
        raise EdgecompError(
            Reason(
                "PyTorch models need torch, which is not installed",
                fix="install it with pip install 'edgecomp[torch]'",
            )
        ) from error
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise EdgecompError(
            f"torch {torch.__version__} is too old; install torch {oldest} or later"
        )
    return torch


def _tensors(torch: Any, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments, all of them tensors."""
    if isinstance(given, torch.Tensor):
        return (given,), {}
    if not isinstance(given, Mapping | Sequence) or isinstance(given, str):
        raise EdgecompError(f"the example inputs are a {type(given).__name__}; give tensors")
    named = given if isinstance(given, Mapping) else dict(enumerate(given))
    raise_if_any(
        [
            Reason(
                f"it is a {type(value).__name__}, no tensor",
                f"example input {key}",
                "wrap the module in one whose forward takes tensors only",
            )
            for key, value in named.items()
            if not isinstance(value, torch.Tensor)
        ]
    )
    return ((), dict(given)) if isinstance(given, Mapping) else (tuple(given), {})


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode for a block; each part of the module gets its own mode back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _to_onnx(
    torch: Any,
    program: Any,
    where: str,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
) -> onnx.ModelProto:
    """The exported program as ONNX, with names of modules for its nodes."""
    try:
        exported = torch.onnx.export(
            program,
            dynamo=True,
            # this importer does it, and keeps the names of nodes
            optimize=False,
            verbose=False,
            input_names=input_names,
            output_names=output_names,
        )
        proto: onnx.ModelProto = exported.model_proto
    except Exception as error:  # the exporter's errors have no common type
        raise EdgecompError(
            Reason(
                f"torch.onnx cannot express the program: {_cause(error)}",
                where,
                "replace that operation in the module",
            )
        ) from error
    _name_by_module(proto.graph)
    return proto


def _shared(model: Model) -> Model:
    """The model with equal constants stored once: parameters that modules share."""
    common.DeduplicateInitializersPass(size_limit=MAX_BYTES)(model.graph)
    return model


def _name_by_module(graph: onnx.GraphProto) -> None:
    """Name nodes by their modules; drop the exporter's notes, which tell paths of source files."""
    operations = [_operation(node) for node in graph.node]
    of_module: dict[str, set[str]] = {}
    for module, operation in filter(None, operations):
        of_module.setdefault(module, set()).add(operation)
    taken: set[str] = set()
    # the last node of an operation, which makes its result, has the operation's name
    for node, found in reversed(list(zip(graph.node, operations, strict=True))):
        if found is not None:
            module, operation = found
            alone = module and len(of_module[module]) == 1
            name = module if alone else f"{module}/{operation}" if module else operation
            node.name = _free(name, f"{name}/{node.op_type}", taken)
        taken.add(node.name)
        del node.metadata_props[:]
    for each in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, graph):
        del each.metadata_props[:]


def _operation(node: onnx.NodeProto) -> tuple[str, str] | None:
    """Module path ("" for the outermost) and operation of a node, None where it has no note."""
    for note in node.metadata_props:
        if note.key == _SCOPES:
            try:
                scopes = ast.literal_eval(note.value)
                return (str(scopes[-2]) if len(scopes) > 1 else ""), str(scopes[-1])
            except (ValueError, SyntaxError, IndexError, TypeError):
                return None
    return None


def _free(name: str, instead: str, taken: set[str]) -> str:
    """`name`, or `instead` with a number where that is taken."""
    count, candidate = 1, name
    while candidate in taken:
        candidate = instead if count == 1 else f"{instead}_{count}"
        count += 1
    return candidate


def _cause(error: BaseException) -> str:
    """The first line of what went wrong first."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0].rstrip(".:")[:300] if lines else "no reason is given"
    return f"{type(error).__name__}: {text}"
