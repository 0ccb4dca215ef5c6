"""Puts kernels written for the core in place of the general ones, and their constants in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from edgecomp.lowering.kernels.conv import ConvWork, DenseWork
from edgecomp.lowering.kernels.elementwise import AddWork
from edgecomp.lowering.kernels.pool import MeanWork
from edgecomp.program import Call, Kernel, Program
from edgecomp_targets.cortex_m import (
    dsp_add,
    dsp_conv,
    dsp_dense,
    dsp_depthwise,
    dsp_mean,
    dsp_wide,
    int4,
    mul_conv,
    mul_dense,
    mul_depthwise,
    mve_add,
    mve_conv,
    mve_depthwise,
    mve_slide,
)
from edgecomp_targets.cortex_m.headers import headers
from edgecomp_targets.cortex_m.replacement import Replacement
from edgecomp_targets.cortex_m.sparse_choice import Layer, with_sparse

Array = npt.NDArray[Any]

Rule = Callable[..., Replacement | None]

Rules = Mapping[tuple[str, type], Rule]

DSP_RULES: Rules = {
    ("conv2d", ConvWork): dsp_conv.conv,
    ("dense", DenseWork): dsp_conv.dense,
    ("depthwise_conv2d", ConvWork): dsp_depthwise.depthwise,
    ("elementwise", AddWork): dsp_add.add,
    ("pool2d", MeanWork): dsp_mean.mean,
}

DENSE_RULES: Rules = {("dense", DenseWork): dsp_dense.dense}
"""Tried before `DSP_RULES`."""

MVE_RULES: Rules = {
    ("conv2d", ConvWork): mve_slide.conv,
    ("dense", DenseWork): mve_conv.dense,
    ("depthwise_conv2d", ConvWork): mve_depthwise.depthwise,
    ("elementwise", AddWork): mve_add.add,
}

MVE_FALLBACKS: Rules = {
    ("conv2d", ConvWork): dsp_conv.conv,
    ("dense", DenseWork): dsp_conv.dense,
    ("depthwise_conv2d", ConvWork): dsp_depthwise.depthwise,
}
"""Helium cores have the DSP extension too: tried where the vector kernels refuse."""

WIDE_RULES: Mapping[str, Rules] = {
    "speed": {("conv2d", ConvWork): dsp_wide.conv},
    "balanced": {("conv2d", ConvWork): dsp_wide.large_conv},
    "size": {},
}
"""By `optimize`, what is tried before `DSP_RULES` and takes more flash."""

MUL_RULES: Rules = {
    ("conv2d", ConvWork): mul_conv.conv,
    ("dense", DenseWork): mul_dense.dense,
    ("depthwise_conv2d", ConvWork): mul_depthwise.depthwise,
    ("elementwise", AddWork): dsp_add.add,
    ("pool2d", MeanWork): dsp_mean.mean,
}

CORE_RULES: Mapping[str, tuple[Rules, ...]] = {
    "cortex_m0plus": (MUL_RULES,),
    "cortex_m3": (MUL_RULES, DENSE_RULES, DSP_RULES),
    "cortex_m55": (MVE_RULES, MVE_FALLBACKS),
}

DSP_CORES = ("cortex_m4", "cortex_m7", "cortex_m33")

MATRIX_KINDS = (("conv2d", ConvWork), ("dense", DenseWork))
"""Kernels with forms for weights of four bits, and for weights of which many are zero."""

DENSE_INT4: Rules = {("dense", DenseWork): dsp_dense.dense_int4}
DSP_INT4: Mapping[str, tuple[Rules, ...]] = {
    "speed": (),
    "balanced": (DENSE_INT4, {("conv2d", ConvWork): dsp_conv.large_conv_int4}),
    "size": (
        DENSE_INT4,
        {("conv2d", ConvWork): dsp_conv.conv_int4, ("dense", DenseWork): dsp_conv.dense_int4},
    ),
}
"""By `optimize`, what is tried after `WIDE_RULES` where packing pays: see `int4.py`."""

CORE_INT4: Mapping[str, Rules] = {
    "cortex_m0plus": {},
    "cortex_m3": {},
    "cortex_m55": {
        ("conv2d", ConvWork): mve_slide.conv_int4,
        ("dense", DenseWork): mve_conv.dense_int4,
    },
}
"""The same for other cores, tried first unless for speed."""


def rules(core: str, optimize: str, packs: bool) -> tuple[Rules, ...]:
    """What is tried on a core, in this order; with `packs` weights of four bits, too."""
    if core in DSP_CORES:
        packed = DSP_INT4[optimize] if packs else ()
        return (WIDE_RULES[optimize], *packed, DENSE_RULES, DSP_RULES)
    packed = (CORE_INT4[core],) if packs and optimize != "speed" else ()
    return (*packed, *CORE_RULES[core])


def arrange(program: Program, core: str, optimize: str) -> Program:
    """`program` with the core's own kernels where it has them, as `Target.arrange` says."""
    constants: dict[str, npt.NDArray[Any]] = dict(program.constants)
    kernels: dict[str, Kernel] = {}
    calls: list[Call] = []
    used: list[str] = []
    for call, found in zip(program.calls, _chosen(program, core, optimize), strict=True):
        kernel = program.kernels[call.kernel]
        if found is not None:
            call = _with_constants(call, found, constants)
            used.append(found.header)
            kernel = _kernel(program, kernel, call, found)
        kernels[call.kernel] = kernel
        calls.append(call)
    operands = {name for call in calls for name in call.operands}
    return replace(
        program,
        constants={name: array for name, array in constants.items() if name in operands},
        kernels=kernels,
        calls=tuple(calls),
        headers={**program.headers, **headers(used)},
    )


def _chosen(program: Program, core: str, optimize: str) -> list[Replacement | None]:
    """What computes each call instead of its kernel."""
    layers = _layers(program, rules(core, optimize, packs=True))
    packed = [
        layer.arrays[0] for layer in layers if layer.dense and layer.dense.weights == int4.NAME
    ]
    if packed and not int4.pays(packed):
        layers = _layers(program, rules(core, optimize, packs=False))
    return with_sparse(layers, core, optimize)


def _layers(program: Program, tried: Sequence[Rules]) -> list[Layer]:
    """The constants of each call, and what `tried` has for it."""
    layers = []
    for call in program.calls:
        kernel = program.kernels[call.kernel]
        arrays = [program.constants[name] for name in call.operands if name in program.constants]
        is_matrix = (kernel.schedule_as, type(kernel.work)) in MATRIX_KINDS
        usual = _replacement(kernel, arrays, tried)
        layers.append(Layer(kernel.work if is_matrix else None, usual, arrays))
    return layers


def _replacement(
    kernel: Kernel, arrays: Sequence[Array], tried: Sequence[Rules]
) -> Replacement | None:
    for table in tried:
        rule = table.get((kernel.schedule_as, type(kernel.work)))
        found = rule(kernel.work, *arrays) if rule is not None else None
        if found is not None:
            return found
    return None


def _with_constants(call: Call, found: Replacement, constants: dict[str, npt.NDArray[Any]]) -> Call:
    """`call` with the operands `found` takes; its constants are added to `constants`."""
    names = []
    for what, array in found.constants.items():
        name = f"{call.name} {what}"
        number = 1
        while name in constants:
            number += 1
            name = f"{call.name} {what} {number}"
        constants[name] = array
        names.append(name)
    inputs = [call.operands[index] for index in found.inputs]
    return replace(call, operands=(*inputs, *names, call.operands[-1]), weights=found.weights)


def _kernel(program: Program, kernel: Kernel, call: Call, found: Replacement) -> Kernel:
    tensors = program.tensors
    shapes = [tensors[name].shape for name in call.operands[: len(found.inputs)]]
    func = found.build(shapes, tensors[call.operands[-1]].shape)
    return replace(
        kernel, schedule_as="extern", func=func, work=found.order, overlaps=found.overlaps
    )
