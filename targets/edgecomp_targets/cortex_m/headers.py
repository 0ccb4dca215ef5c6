"""The C headers of the target's own kernels, and which of them include which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources

INCLUDES: Mapping[str, tuple[str, ...]] = {
    "edgecomp_common.h": (),
    "edgecomp_conv_rows.h": ("edgecomp_common.h",),
    "edgecomp_dsp.h": ("edgecomp_common.h",),
    "edgecomp_dsp_matrix.h": ("edgecomp_dsp.h",),
    "edgecomp_dsp_add.h": ("edgecomp_dsp.h",),
    "edgecomp_dsp_conv.h": ("edgecomp_conv_rows.h", "edgecomp_dsp_matrix_int4.h"),
    "edgecomp_dsp_dense.h": ("edgecomp_dsp_int4.h",),
    "edgecomp_dsp_depthwise.h": ("edgecomp_dsp_depthwise_rows.h",),
    "edgecomp_dsp_depthwise_rows.h": ("edgecomp_dsp.h",),
    "edgecomp_dsp_wide.h": ("edgecomp_dsp.h",),
    "edgecomp_dsp_int4.h": ("edgecomp_dsp.h",),
    "edgecomp_dsp_matrix_int4.h": ("edgecomp_dsp_int4.h", "edgecomp_dsp_matrix.h"),
    "edgecomp_dsp_mean.h": ("edgecomp_dsp.h",),
    "edgecomp_mul.h": ("edgecomp_mul_output.h",),
    "edgecomp_mul_conv.h": ("edgecomp_mul.h",),
    "edgecomp_mul_dense.h": ("edgecomp_mul.h",),
    "edgecomp_mul_depthwise.h": ("edgecomp_mul.h",),
    "edgecomp_mul_output.h": ("edgecomp_dsp.h",),
    "edgecomp_mve.h": ("edgecomp_common.h",),
    "edgecomp_mve_add.h": ("edgecomp_mve.h",),
    "edgecomp_mve_rows.h": ("edgecomp_mve.h",),
    "edgecomp_mve_conv.h": ("edgecomp_mve_matrix.h", "edgecomp_mve_rows.h"),
    "edgecomp_mve_slide.h": ("edgecomp_mve_rows.h",),
    "edgecomp_mve_matrix.h": ("edgecomp_mve.h",),
    "edgecomp_mve_depthwise.h": ("edgecomp_mve.h",),
    "edgecomp_mve_unpack.h": ("edgecomp_mve.h", "edgecomp_unpack.h"),
    "edgecomp_sparse_conv.h": ("edgecomp_mul_conv.h", "edgecomp_sparse_sums.h"),
    "edgecomp_sparse_row.h": ("edgecomp_dsp.h",),
    "edgecomp_sparse_sums.h": ("edgecomp_mul_output.h",),
    "edgecomp_unpack.h": ("edgecomp_dsp.h",),
}
"""Folder `csrc/kernels`: each header with those it includes."""


def headers(names: Iterable[str]) -> dict[str, str]:
    """Text of the headers `names` and of all they include, those first."""
    folder = resources.files("edgecomp_targets.cortex_m") / "csrc" / "kernels"
    found: dict[str, str] = {}

    def add(name: str) -> None:
        for included in INCLUDES[name]:
            add(included)
        found.setdefault(name, (folder / name).read_text())

    for name in sorted(set(names)):
        add(name)
    return found
