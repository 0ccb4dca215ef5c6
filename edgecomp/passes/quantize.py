"""Post-training quantization: a float model to QDQ form, or to weights of half precision.

Activations get one scale and zero point a tensor, weights are symmetric with one scale for each
output channel, biases are int32 (TFLite's 8-bit quantization specification, and its 16x8 form for
int16 activations, whose zero point is 0). Ranges come from calibration samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from edgecomp.calibration import CalibrationData
from edgecomp.errors import Reason
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.equalize import equalized
from edgecomp.passes.half_weights import with_half_weights
from edgecomp.passes.judge import judge_of
from edgecomp.passes.options import option
from edgecomp.passes.quantize_calibrated import Calibrated
from edgecomp.passes.quantize_grids import Grids, grids_of
from edgecomp.passes.quantize_limits import bytes_limit, time_limit, wide_parts
from edgecomp.passes.quantize_mixed import Parts, within_limit, within_quality
from edgecomp.passes.quantize_observe import observe
from edgecomp.passes.quantize_palettes import without_palettes
from edgecomp.passes.quantize_plan import make_plan
from edgecomp.passes.quantize_reconstruct import layer_inputs, reconstructed
from edgecomp.passes.quantize_weights import INT4_LIMIT, QuantizedWeights
from edgecomp.passes.smooth import smoothed

LIMITS: Mapping[str, int] = {"int8": 127, "int4": INT4_LIMIT}
"""The largest weight of each kind; the smallest is its negative."""


@dataclass(frozen=True)
class Quantize(Pass):
    """Quantize with calibration data; see the module."""

    name: ClassVar[str] = "quantize"
    summary: ClassVar[str] = "int8 activations and per-channel int8 weights, from calibration data"

    estimator: Literal["mse", "percentile", "minmax", "entropy"] = option(
        "mse", "how the range of an activation is found"
    )
    percentile: float = option(
        99.99, "share of the values kept in range by estimator=percentile", 90.0, 100.0
    )
    samples: int = option(512, "calibration samples used at most, evenly spread over the data", 1)
    per_channel: bool = option(True, "one scale for each output channel of the weights")
    bias_correction: bool = option(True, "let the bias make up for the mean error of the weights")
    exclude: tuple[str, ...] = option((), "name patterns (* ? [...]) of nodes that stay float")
    weights: Literal["int8", "int4", "mixed", "fp16"] = option(
        "int8",
        "what weights become; mixed: int4 where max_drop, or as far as bytes, asks; fp16: half "
        "precision, and all else stays float",
    )
    activations: Literal["int8", "int16", "mixed"] = option(
        "int8", "what activations become; mixed: int8 where max_drop, or as far as ms, asks"
    )
    max_drop: float = option(
        0.01, "of mixed: loss of accuracy, or of agreement without labels", 0.0, 1.0
    )
    bytes: float = option(
        0.0, "of weights=mixed: constants at most; up to 1 a share of those with int8; 0: any", 0.0
    )
    ms: float = option(
        0.0, "of activations=mixed: modelled milliseconds on the device at most; 0: any", 0.0
    )
    rounding: Literal["nearest", "reconstruct"] = option(
        "nearest", "of weights: to the nearest, or so that the outputs of layers change least"
    )
    equalize: bool = option(False, "scale channels of layers in a row to ranges that suit both")
    smooth: float = option(
        0.0, "share of the ranges of activations moved to the weights, as 0.5 in transformers", 0, 1
    )

    def conflicts(self) -> Iterator[Reason]:
        """See `Pass.conflicts`."""
        if not self.makes_integers:
            for name in ("activations", "rounding", "equalize", "smooth"):
                if getattr(self, name) != getattr(Quantize, name):
                    fix = f"leave {name} out"
                    yield Reason("weights=fp16 leaves activations in float", self.name, fix)
        if self.bytes and self.weights != "mixed":
            yield Reason("bytes is a limit of mixed weights", self.name, "add weights=mixed")
        if self.ms and self.activations != "mixed":
            fix = "add activations=mixed"
            yield Reason("ms is a limit of mixed activations", self.name, fix)
        if self.weights == self.activations == "mixed":
            fix = "leave weights or activations as they are by default"
            yield Reason("weights and activations cannot both be mixed", self.name, fix)

    def apply(self, model: Model, context: Context) -> Model:
        """The model in QDQ form; see `Pass.apply`."""
        if not self.makes_integers:
            halved = with_half_weights(model, self.exclude, self.name)
            return model.with_graph(halved.graph, str(self))
        data = context.need_data(self.name)
        _, indices = without_palettes(model)
        model = self.prepared(model, context)
        plan = make_plan(model.graph.graph, self.exclude, self.activations == "int16")
        seen = observe(model, plan, data, self.samples, context.progress)
        grids = grids_of(plan, seen, self.estimator, self.percentile)
        made = Calibrated(model, seen.means, indices, self.per_channel, self.bias_correction)
        if self.activations == "int16":
            grids = grids.with_wide(group.values[0] for group in plan.groups)
        elif self.activations == "mixed":
            grids = self._mixed_activations(made, grids, context)
        weights = self._weights(made, grids, data, context)
        return model.with_graph(made.written(grids, weights).graph, str(self))

    @property
    def makes_integers(self) -> bool:
        """Whether the result computes in integers."""
        return self.weights != "fp16"

    def prepared(self, model: Model, context: Context) -> Model:
        """The float model that is quantized: the same function, in numbers that suit integers."""
        model, _ = without_palettes(model)
        if self.smooth:
            data, progress = context.need_data(self.name), context.progress
            model = smoothed(model, self.smooth, data, self.samples, progress)
        return equalized(model) if self.equalize else model

    def _weights(
        self, made: Calibrated, grids: Grids, data: CalibrationData, context: Context
    ) -> dict[str, QuantizedWeights]:
        """The integer weights of each weighted node, by its name."""
        kinds = tuple(LIMITS) if self.weights == "mixed" else (self.weights,)
        rounded = [made.rounded(grids, LIMITS[kind]) for kind in kinds]
        if self.rounding == "reconstruct":
            # What layers read with int8 weights: near to what they read when all are reconstructed.
            near, progress = made.rounded(grids, LIMITS["int8"]), context.progress
            near_model = made.written(grids, near)
            inputs = layer_inputs(made.model, near_model, near, data, self.samples, progress)
            rounded = [reconstructed(made.model, plain, inputs, progress) for plain in rounded]
        if self.weights != "mixed":
            return rounded[0]
        eight, four = rounded

        def mix(narrow: Collection[str]) -> dict[str, QuantizedWeights]:
            return {**eight, **{name: four[name] for name in narrow}}

        sizes = {name: float(weights.weights.size) for name, weights in four.items()}
        parts = Parts(sizes, lambda narrow: made.written(grids, mix(narrow)))
        judge = judge_of(made.model, data, context)
        if not self.bytes:
            return mix(within_quality(parts, judge, self.max_drop, context.progress))
        limit = bytes_limit(self.bytes, parts.make([]))
        return mix(within_limit(parts, judge, limit, self.name, context.progress))

    def _mixed_activations(self, made: Calibrated, grids: Grids, context: Context) -> Grids:
        """int16 for the groups of values that are worth it."""
        every, parts = wide_parts(made, grids, context.device, LIMITS[self.weights])
        judge = judge_of(made.model, context.need_data(self.name), context)
        if self.ms:
            limit = time_limit(self.ms, context.device, self.name)
            narrow = within_limit(parts, judge, limit, self.name, context.progress)
        else:
            narrow = within_quality(parts, judge, self.max_drop, context.progress)
        return grids.with_wide(every - set(narrow))
