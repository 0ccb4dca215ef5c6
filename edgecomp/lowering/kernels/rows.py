"""Products and Euclidean norms of rows."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from edgecomp.lowering.fixed_point import Multiplier


def product(
    rows: int, depth: int, zero_points: tuple[int, int], multiplier: Multiplier, dtype: str
) -> Any:
    """x[rows, depth] -> out[rows]: products, each factor times `multiplier`."""
    x = te.placeholder((rows, depth), dtype, name="x")

    def call(sources: Any, results: Any) -> Any:
        return tirx.call_extern(
            "void",
            "ec_product_s8" if dtype == "int8" else "ec_product_s16",
            sources[0].data,
            results[0].data,
            rows,
            depth,
            zero_points[0],
            multiplier.mantissa,
            multiplier.shift,
            zero_points[1],
        )

    out = te.extern([(rows,)], [x], call, name="out", dtype=dtype)
    return te.create_prim_func([x, out])


def normalize(rows: int, depth: int, zero_point: int) -> Any:
    """int8 x[rows, depth] -> out[rows, depth] of scale 1/128: rows divided by their norm."""
    x = te.placeholder((rows, depth), "int8", name="x")

    def call(sources: Any, results: Any) -> Any:
        return tirx.call_extern(
            "void", "ec_normalize_s8", sources[0].data, results[0].data, rows, depth, zero_point
        )

    out = te.extern([(rows, depth)], [x], call, name="out", dtype="int8")
    return te.create_prim_func([x, out])
