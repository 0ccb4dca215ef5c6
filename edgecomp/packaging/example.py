"""A program that runs every model of a package once, to build on."""

from __future__ import annotations

from collections.abc import Callable

from edgecomp.lowering.c_names import C_TYPES
from edgecomp.packaging.project import PackagedModel, Project
from edgecomp_runtime.manifest import TensorSpec

Show = Callable[[PackagedModel, int, TensorSpec], str]
"""C that prints the elements of an output."""


def example_main(project: Project) -> str:
    """`main.c`, with `printf`."""
    calls = "".join(f"  run_{model.symbol}();\n" for model in project.models)
    return f"#include <stdio.h>\n\n{_models(project, _printf)}int main(void) {{\n{calls}}}\n"


def example_sketch(project: Project) -> str:
    """An Arduino sketch."""
    calls = "".join(f"  run_{model.symbol}();\n" for model in project.models)
    return (
        f"{_models(project, _serial)}"
        f"void setup() {{\n  Serial.begin(115200);\n}}\n\n"
        f"void loop() {{\n{calls}  delay(1000);\n}}\n"
    )


def arena_definition(project: Project) -> str:
    """The definition of an arena all models can work in."""
    owner = project.name if len(project.models) > 1 else project.models[0].symbol
    return f"EDGECOMP_ARENA(arena, {owner}_ARENA_BYTES);"


def call_of(model: PackagedModel) -> str:
    """The call of one inference, between braces."""
    symbol = model.symbol
    state = f", {symbol}_state" if model.manifest.memory.state_bytes else ""
    return (
        f"  const {symbol}_inputs inputs = {{{_names(model, 'INPUT')}}};\n"
        f"  const {symbol}_outputs outputs = {{{_names(model, 'OUTPUT')}}};\n"
        f"  {symbol}_run(&inputs, &outputs, arena{state});\n"
    )


def buffers_of(model: PackagedModel) -> str:
    """Definitions of what the call in `call_of` takes."""
    manifest = model.manifest
    lines = [
        f"EDGECOMP_ALIGNED static {C_TYPES[spec.dtype]} {_buffer(model, kind, index)}"
        f"[{model.symbol}_{kind}_{index}_ELEMENTS];"
        for kind, specs in (("INPUT", manifest.inputs), ("OUTPUT", manifest.outputs))
        for index, spec in enumerate(specs)
    ]
    if manifest.memory.state_bytes:
        lines.append(f"EDGECOMP_ARENA({model.symbol}_state, {model.symbol}_STATE_BYTES);")
    return "\n".join(lines) + "\n"


def _buffer(model: PackagedModel, kind: str, index: int) -> str:
    return f"{model.symbol}_{kind.lower()}_{index}"


def _names(model: PackagedModel, kind: str) -> str:
    specs = model.manifest.inputs if kind == "INPUT" else model.manifest.outputs
    return ", ".join(_buffer(model, kind, index) for index in range(len(specs)))


def _models(project: Project, show: Show) -> str:
    parts = [f'#include "{project.name}.h"', arena_definition(project)]
    for model in project.models:
        outputs = enumerate(model.manifest.outputs)
        reset = f"  {model.symbol}_reset({model.symbol}_state);\n"
        parts.append(
            f"{buffers_of(model)}\nstatic void run_{model.symbol}(void) {{\n"
            f"  /* the inputs are zero; fill them with yours */\n"
            f"{reset if model.manifest.memory.state_bytes else ''}"
            f"{call_of(model)}" + "".join(show(model, index, spec) for index, spec in outputs) + "}"
        )
    return "\n\n".join(parts) + "\n\n"


def _loop(model: PackagedModel, index: int, statement: str) -> str:
    count = f"{model.symbol}_OUTPUT_{index}_ELEMENTS"
    return f"  for (int i = 0; i < {count}; ++i) {{\n    {statement}\n  }}\n"


def _printf(model: PackagedModel, index: int, spec: TensorSpec) -> str:
    value = f"(double){_buffer(model, 'OUTPUT', index)}[i]"
    return _loop(model, index, f'printf("{model.symbol} {index} %d %g\\n", i, {value});')


def _serial(model: PackagedModel, index: int, spec: TensorSpec) -> str:
    # a byte would be printed as a letter
    kind = "(double)" if spec.dtype.startswith("float") else "(long)"
    return _loop(model, index, f"Serial.println({kind}{_buffer(model, 'OUTPUT', index)}[i]);")
