"""README.md of a package."""

from __future__ import annotations

from collections.abc import Sequence

from edgecomp.lowering.c_names import comment
from edgecomp.packaging.example import arena_definition, buffers_of, call_of
from edgecomp.packaging.project import LICENSE, PackagedModel, Project
from edgecomp.packaging.templates import filled
from edgecomp_runtime.manifest import TensorSpec


def readme(project: Project, use: str) -> str:
    """The text.

    Args:
        project: what is packaged.
        use: Markdown on how to bring this kind of package into a project.
    """
    return filled(
        "README.md",
        NAME=project.name,
        RELEASE=project.release,
        SUMMARY=project.summary,
        USE=use,
        EXAMPLE=_example(project),
        MODELS="\n".join(_model(model) for model in project.models),
        LICENSE=LICENSE,
    )


def _example(project: Project) -> str:
    model = project.models[0]
    return (
        f'#include "{project.name}.h"\n\n{arena_definition(project)}\n{buffers_of(model)}\n'
        f"void infer(void) {{\n{call_of(model)}}}"
    )


def _model(model: PackagedModel) -> str:
    manifest, symbol = model.manifest, model.symbol
    memory, flash, compiled = manifest.memory, manifest.flash, f"as compiled for {manifest.device}"
    rows = [
        ("arena", f"{memory.arena_bytes:,} bytes, `{symbol}_ARENA_BYTES`"),
        ("stack", f"{memory.stack_bytes:,} bytes at most, {compiled}"),
        ("constants", f"{flash.weights_bytes:,} bytes"),
        ("code", f"{flash.code_bytes:,} bytes, {compiled}"),
        *_tensors(symbol, "INPUT", manifest.inputs),
        *_tensors(symbol, "OUTPUT", manifest.outputs),
    ]
    if memory.state_bytes:
        reset = f"`{symbol}_reset(state)` begins a stream, every run reads and writes it"
        rows.append(("state", f"{memory.state_bytes:,} bytes, `{symbol}_STATE_BYTES`; {reset}"))
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    return f"## {comment(manifest.name)}\n\n| | |\n|---|---|\n{table}"


def _tensors(symbol: str, kind: str, specs: Sequence[TensorSpec]) -> list[tuple[str, str]]:
    return [
        (
            f"{kind.lower()} {index}",
            f"`{comment(spec.name)}`: {spec.dtype} {list(spec.shape)}"
            + _meaning(f"{symbol}_{kind}_{index}", spec),
        )
        for index, spec in enumerate(specs)
    ]


def _meaning(macro: str, spec: TensorSpec) -> str:
    """What an integer stands for."""
    if spec.scale is None:
        return ""
    return f"; real = `{macro}_SCALE` * (q - `{macro}_ZERO_POINT`)"
