"""Random programs on int8 images: convolutions, depthwise ones, pools, sums and lookups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.fixed_point import Multiplier
from edgecomp.lowering.kernels.conv import ConvShape, ConvWork, Rescale
from edgecomp.lowering.kernels.elementwise import AddWork, BinaryScales, MapWork, lookup
from edgecomp.lowering.kernels.pool import PoolShape, PoolWork
from edgecomp.lowering.overlaps import overlaps_of
from edgecomp.lowering.row_bands import function_of, output_rows
from edgecomp.program import Call, Kernel, Program, Tensor
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]
HALF = Multiplier(1 << 30, 0)


@dataclass
class ImagePrograms:
    """Builds one program of several nets, each of which has an input and an output of its own.

    Attributes:
        rng: draws shapes and constants.
        nets: the first and the last call of each net.
    """

    rng: np.random.Generator
    nets: list[tuple[int, int]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        name = f"t{len(self.tensors)}"
        self.tensors[name] = Tensor(name, shape, "int8")
        return self.tensors[name]

    def call(
        self, schedule: str, work: Any, images: list[Tensor], held: list[Array], shape: Any
    ) -> Tensor:
        number = len(self.calls)
        names = {f"c{number}_{i}": array for i, array in enumerate(held)}
        self.constants.update(names)
        kernel = Kernel(
            f"k{number}", schedule, function_of(work, schedule), 1, work, overlaps_of(work)
        )
        self.kernels[kernel.name] = kernel
        out = self.tensor(shape)
        operands = (*(t.name for t in images), *names, out.name)
        name = f"node{number}"
        self.calls.append(Call(kernel.name, operands, name, schedule, "integer", output_rows(work)))
        return out

    def window(self, x: Tensor) -> tuple[Any, Any, Any]:
        """Kernel, strides and pads that leave two rows at least."""
        kernel = (self.pick(1, 2, 3, 5), self.pick(1, 3))
        strides = (self.pick(1, 1, 2), self.pick(1, 1, 2))
        pads = tuple(int(self.rng.integers(0, k)) for k in (*kernel, *kernel))
        if x.shape[1] + pads[0] + pads[2] < kernel[0] + 2 * strides[0] or x.shape[2] < kernel[1]:
            return (1, 1), (1, 1), (0, 0, 0, 0)
        return kernel, strides, pads

    def conv(self, x: Tensor, filters: int, depthwise: bool) -> Tensor:
        kernel, strides, pads = self.window(x)
        if depthwise and self.pick(True, False):
            kernel, strides, pads = (3, 3), (strides[0], strides[0]), (1, 1, 1, 1)
        group = x.shape[3] if depthwise else 1
        filters = group if depthwise else filters
        shape = ConvShape(x.shape, filters, kernel, strides, pads, (1, 1), group)
        low = int(self.pick(-128, -20))
        work = ConvWork(shape, -5, Rescale(3, low, 127, True))
        weights = (*kernel, filters) if depthwise else (filters, *kernel, x.shape[3])
        held = [
            self.rng.integers(-127, 128, weights).astype(np.int8),
            self.rng.integers(-3000, 3000, filters).astype(np.int32),
            self.rng.integers(1 << 30, (1 << 31) - 1, filters).astype(np.int32),
            self.rng.integers(-9, -6, filters).astype(np.int8),
        ]
        out = (1, shape.output_extent(0), shape.output_extent(1), filters)
        return self.call("depthwise_conv2d" if depthwise else "conv2d", work, [x], held, out)

    def pool(self, x: Tensor) -> Tensor:
        kernel, strides, pads = self.window(x)
        pads = tuple(min(p, 1, k - 1) for p, k in zip(pads, (*kernel, *kernel), strict=True))
        out = tuple(
            (x.shape[1 + i] + pads[i] + pads[i + 2] - kernel[i]) // strides[i] + 1 for i in (0, 1)
        )
        shape = PoolShape(x.shape, kernel, strides, pads, (out[0], out[1]))
        work = PoolWork(shape, bool(self.pick(True, False)), "int8")
        return self.call("pool2d", work, [x], [], (1, *out, x.shape[3]))

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        scales = BinaryScales(
            (2, -7), (HALF, Multiplier(1 << 30, -1)), Multiplier(1 << 30, -18), 4, -128, 127
        )
        return self.call(
            "elementwise", AddWork(x.shape, y.shape, scales, False), [x, y], [], x.shape
        )

    def look_up(self, x: Tensor) -> Tensor:
        table = self.rng.permutation(256).astype(np.uint8).view(np.int8)
        return self.call("elementwise", MapWork(x.shape, lookup), [x], [table], x.shape)

    def net(self, layers: int) -> None:
        """A chain of `layers` calls, with sums of the last image and an earlier one like it."""
        first = len(self.calls)
        height, width, channels = (
            self.rng.integers(8, 21),
            self.rng.integers(3, 9),
            self.pick(3, 4, 8),
        )
        x = self.tensor((1, int(height), int(width), channels))
        self.inputs.append(x)
        seen = [x]
        for _ in range(layers):
            same = [t for t in seen[:-1] if t.shape == x.shape]
            makers: list[Callable[[], Tensor]] = [
                lambda x=x: self.conv(x, self.pick(4, 8, 12), False),
                lambda x=x: self.conv(x, 0, True),
                lambda x=x: self.pool(x),
                lambda x=x: self.look_up(x),
            ]
            maker = (lambda x=x, y=same[0]: self.add(x, y)) if same else self.pick(*makers)
            x = maker()
            seen.append(x)
        self.outputs.append(x)
        self.nets.append((first, len(self.calls) - 1))

    def program(self) -> Program:
        specs = [
            tuple(TensorSpec(t.name, t.shape, t.dtype) for t in tensors)
            for tensors in (self.inputs, self.outputs)
        ]
        return Program(
            "images",
            "images",
            *specs,
            self.tensors,
            self.constants,
            self.kernels,
            tuple(self.calls),
        )

    def samples(self) -> list[Array]:
        """An array for each input."""
        return [self.rng.integers(-128, 128, t.shape).astype(np.int8) for t in self.inputs]
