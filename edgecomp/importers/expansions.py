"""Operators as simpler ones: what TVM's importer lacks, gets wrong, or has no integer meaning for.

One literal table; each rule writes nodes that compute the same, or gives None and leaves the node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason, raise_if_any
from edgecomp.graph.build import Replacement
from edgecomp.importers import normalization, resizing, sampling, selection, spectra
from edgecomp.importers.misfit import misfits_refused
from edgecomp.importers.recurrent import expand_recurrent

Rule = Callable[[Replacement, ir.Node], Sequence[ir.Value | None] | None]

RULES: Mapping[str, Rule] = {
    "AffineGrid": sampling.expand_affine_grid,
    "BatchNormalization": selection.refuse_training,
    "CenterCropPad": selection.expand_center_crop_pad,
    "DFT": spectra.expand_dft,
    "Dropout": selection.expand_dropout,
    "EyeLike": selection.expand_eye,
    "GRU": expand_recurrent,
    "GroupNormalization": normalization.expand_group_norm,
    "IsInf": selection.expand_is_inf,
    "LSTM": expand_recurrent,
    "LayerNormalization": normalization.expand_layer_norm,
    "MeanVarianceNormalization": normalization.expand_mean_variance_norm,
    "OneHot": selection.expand_one_hot,
    "Pad": selection.expand_pad,
    "Pow": selection.expand_mixed_pow,
    "RNN": expand_recurrent,
    "ReduceMax": selection.expand_truth_extreme,
    "ReduceMin": selection.expand_truth_extreme,
    "Resize": resizing.expand_resize,
    "ReverseSequence": selection.expand_reverse_sequence,
    "RoiAlign": selection.refuse_largest_region,
    "STFT": spectra.expand_stft,
    "TopK": selection.expand_top_k,
}
"""What replaces each operator of the standard."""


def expand(graph: ir.Graph) -> bool:
    """Replace every node that a rule knows, in place; shapes of all values must be noted.

    Returns:
        Whether any was replaced; shapes have to be inferred again then.

    Raises:
        EdgecompError: nodes that cannot be computed by anything, all of them named.
    """
    reasons: list[Reason] = []
    changed = False
    for node in list(graph):
        rule = RULES.get(node.op_type) if node.domain == "" else None
        if rule is None or not all(_is_known(value) for value in node.inputs):
            continue
        new = Replacement(graph, node)
        try:
            with misfits_refused(node.op_type, str(node.name)):
                results = rule(new, node)
        except EdgecompError as error:
            reasons.extend(error.reasons)
            continue
        if results is not None:
            new.finish(*results)
            changed = True
    raise_if_any(reasons)
    return changed


def _is_known(value: ir.Value | None) -> bool:
    return value is None or (
        value.shape is not None and value.shape.is_static() and value.dtype is not None
    )
