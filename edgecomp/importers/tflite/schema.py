"""Names of the TFLite schema: operators, element types, and the options operators have."""

from __future__ import annotations

from collections.abc import Mapping

import tflite

OPERATORS: Mapping[int, str] = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)
}
"""Name of a builtin operator by its number."""

DTYPES: Mapping[int, str] = {
    tflite.TensorType.FLOAT32: "float32",
    tflite.TensorType.FLOAT16: "float16",
    tflite.TensorType.INT32: "int32",
    tflite.TensorType.UINT8: "uint8",
    tflite.TensorType.INT64: "int64",
    tflite.TensorType.STRING: "string",
    tflite.TensorType.BOOL: "bool",
    tflite.TensorType.INT16: "int16",
    tflite.TensorType.COMPLEX64: "complex64",
    tflite.TensorType.INT8: "int8",
    tflite.TensorType.FLOAT64: "float64",
    tflite.TensorType.UINT64: "uint64",
    tflite.TensorType.RESOURCE: "resource",
    tflite.TensorType.VARIANT: "variant",
    tflite.TensorType.UINT32: "uint32",
    tflite.TensorType.UINT16: "uint16",
    tflite.TensorType.INT4: "int4",
}
"""Numpy name of an element type by its number; those numpy lacks as TFLite calls them."""

WITHOUT_NUMBERS = frozenset({"string", "resource", "variant"})
"""Element types a tensor of which has no numbers in the file."""

_WINDOW = ("Padding", "StrideH", "StrideW", "FusedActivationFunction")
_DILATED = (*_WINDOW, "DilationHFactor", "DilationWFactor")
_FUSED = ("FusedActivationFunction",)

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "AddOptions": (*_FUSED, "PotScaleInt16"),
    "ArgMaxOptions": ("OutputType",),
    "ArgMinOptions": ("OutputType",),
    "BatchMatMulOptions": ("AdjX", "AdjY", "AsymmetricQuantizeInputs"),
    "CallOnceOptions": ("InitSubgraphIndex",),
    "CastOptions": ("InDataType", "OutDataType"),
    "ConcatenationOptions": ("Axis", *_FUSED),
    "Conv2DOptions": _DILATED,
    "CumsumOptions": ("Exclusive", "Reverse"),
    "DepthToSpaceOptions": ("BlockSize",),
    "DepthwiseConv2DOptions": (*_DILATED, "DepthMultiplier"),
    "DivOptions": _FUSED,
    "FullyConnectedOptions": (*_FUSED, "WeightsFormat", "KeepNumDims", "AsymmetricQuantizeInputs"),
    "GatherOptions": ("Axis", "BatchDims"),
    "GeluOptions": ("Approximate",),
    "LeakyReluOptions": ("Alpha",),
    "MirrorPadOptions": ("Mode",),
    "MulOptions": _FUSED,
    "OneHotOptions": ("Axis",),
    "PackOptions": ("Axis",),
    "Pool2DOptions": (*_WINDOW, "FilterHeight", "FilterWidth"),
    "ReducerOptions": ("KeepDims",),
    "ReshapeOptions": ("NewShape",),
    "ResizeBilinearOptions": ("AlignCorners", "HalfPixelCenters"),
    "ResizeNearestNeighborOptions": ("AlignCorners", "HalfPixelCenters"),
    "SoftmaxOptions": ("Beta",),
    "SpaceToDepthOptions": ("BlockSize",),
    "SplitOptions": ("NumSplits",),
    "SplitVOptions": ("NumSplits",),
    "SqueezeOptions": ("SqueezeDims",),
    "StridedSliceOptions": (
        "BeginMask",
        "EndMask",
        "EllipsisMask",
        "NewAxisMask",
        "ShrinkAxisMask",
        "Offset",
    ),
    "SubOptions": (*_FUSED, "PotScaleInt16"),
    "SVDFOptions": ("Rank", *_FUSED, "AsymmetricQuantizeInputs"),
    "TransposeConvOptions": _WINDOW,
    "UnidirectionalSequenceLSTMOptions": (
        *_FUSED,
        "CellClip",
        "ProjClip",
        "TimeMajor",
        "AsymmetricQuantizeInputs",
    ),
    "UnpackOptions": ("Num", "Axis"),
    "VarHandleOptions": ("Container", "SharedName"),
}
"""The fields of an options table that mean something here; a missing table has none."""

VECTORS = frozenset({"NewShape", "SqueezeDims"})
"""Fields that are vectors of integers."""
