"""What a pass costs in accuracy and saves, applied to one layer at a time."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.compress import Statistics, statistics
from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.channels.coupled import coupled_layers
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.prune import Prune
from edgecomp.passes.prune_channels import refuse_quantized
from edgecomp.passes.prune_weights import MATRIX_OPS
from edgecomp.reference import first_outputs
from edgecomp.training.accuracy import accuracy
from edgecomp.training_data import Batch

SPARED = ("protect", "exclude")
"""Names that passes give to the option with the nodes they leave alone."""


@dataclass(frozen=True)
class Sensitivity:
    """One pass on one layer.

    Attributes:
        node: the layer's name.
        spec: the pass.
        sqnr_db: signal to noise ratio of the outputs against the model as it was, in decibels;
            None where nothing changed.
        accuracy: share of right answers, where there are labelled samples.
        accuracy_before: that of the model as it is.
        saved_bytes, saved_macs, saved_instructions: what the model lost; the last is modelled, and
            None without a device.
        refused: why the pass cannot be applied to the layer, or None; all figures are None then.
    """

    node: str
    spec: str
    sqnr_db: float | None = None
    accuracy: float | None = None
    accuracy_before: float | None = None
    saved_bytes: int | None = None
    saved_macs: int | None = None
    saved_instructions: int | None = None
    refused: str | None = None


Known = Mapping[str, Sensitivity]
"""What was found before, by `Reference.key`."""


def layers_of(model: Model) -> list[str]:
    """The names of the nodes with weights."""
    return [str(n.name) for n in model.graph.graph if n.op_type in MATRIX_OPS and n.domain == ""]


@dataclass(frozen=True, eq=False)
class Reference:
    """What all passes and layers are held against, found once.

    Attributes:
        model: the model as it is.
        context: what passes may use.
        batch: labelled samples, or None.
        samples: outputs compared at most.
        exact: the model's first output on them.
        accuracy: share of right answers on the batch, if there is one.
        cost: what the model costs.
        digest: of all of these, and of the files behind them.
    """

    model: Model
    context: Context
    batch: Batch | None
    samples: int
    exact: npt.NDArray[np.float64]
    accuracy: float | None
    cost: Statistics
    digest: str

    def key(self, spec: str, node: str) -> str:
        """What the result of a pass on a node depends on, as a digest."""
        return hashlib.sha256("\0".join((self.digest, spec, node)).encode()).hexdigest()[:32]


def _reference(model: Model, context: Context, batch: Batch | None, samples: int) -> Reference:
    data = context.need_data("sensitivity")
    digest = hashlib.sha256(ir.to_proto(model.graph).SerializeToString(deterministic=True))
    digest.update(f"{context.device.name if context.device else ''}\0{samples}".encode())
    for source in (context.data, None if context.train is None else context.train.samples):
        digest.update(b"" if source is None else source.path.read_bytes())
    if batch is not None:
        for array in (*batch.inputs.values(), np.asarray(batch.labels)):
            digest.update(array.tobytes())
    return Reference(
        model,
        context,
        batch,
        samples,
        first_outputs(model, data, samples),
        None if batch is None else accuracy(model, batch),
        statistics(model, context.device),
        digest.hexdigest(),
    )


def sensitivities(
    model: Model,
    passes: Sequence[Pass],
    context: Context,
    batch: Batch | None,
    samples: int,
    known: Known,
) -> Iterator[tuple[str, Sensitivity]]:
    """Every pass on every layer, the others left alone.

    Layers whose channels can only be pruned together are measured together, as the first of them.

    Args:
        model: the model.
        passes: with an option "protect" or "exclude".
        context: `data` is needed: what outputs are compared on.
        batch: labelled samples, or None.
        samples: outputs compared at most.
        known: results that need not be found again.

    Yields:
        The key of each result and the result.

    Raises:
        EdgecompError: a pass cannot leave layers alone, or there is no data.
    """
    spared = {str(each): _spared(each) for each in passes}
    names = layers_of(model)
    reference = _reference(model, context, batch, samples)
    with context.progress.task("sensitivity", total=len(names) * len(passes)) as step:
        for each in passes:
            groups = _groups(each, model)
            for name in names:
                key = reference.key(str(each), name)
                found = known.get(key)
                group = next((group for group in groups if name in group), (name,))
                if found is None and group[0] != name:
                    found = Sensitivity(name, str(each), refused=f"goes together with {group[0]}")
                if found is None:
                    others = tuple(glob.escape(other) for other in names if other not in group)
                    alone: Any = replace(each, **{spared[str(each)]: others})
                    found = _one(reference, alone, str(each), name)
                yield key, found
                step()


def _groups(each: Pass, model: Model) -> Sequence[tuple[str, ...]]:
    """Layers that `each` can only change together: their channels are pruned or kept alike."""
    if not isinstance(each, Prune) or each.granularity != "channel":
        return ()
    refuse_quantized(model)
    return coupled_layers(model.graph.graph)


def _spared(each: Pass) -> str:
    for option in SPARED:
        if hasattr(each, option):
            return option
    reason = "the pass cannot be applied to one layer alone"
    raise EdgecompError(Reason(reason, each.name, "choose quantize, prune, cluster or lowrank"))


def _one(reference: Reference, alone: Pass, spec: str, name: str) -> Sensitivity:
    """`alone` is the pass of `spec` with all nodes but `name` spared."""
    context, exact, before = reference.context, reference.exact, reference.cost
    try:
        small = alone.apply(reference.model, context)
    except EdgecompError as error:
        return Sensitivity(name, spec, refused="; ".join(map(str, error.reasons)))
    after = statistics(small, context.device)
    got = first_outputs(small, context.need_data(alone.name), reference.samples)
    noise = float(np.square(got - exact).sum())
    ratio = float(np.square(exact).sum()) / noise if noise > 0.0 else None
    instructions = (
        before.instructions - after.instructions
        if before.instructions is not None and after.instructions is not None
        else None
    )
    return Sensitivity(
        name,
        spec,
        None if ratio is None else 10 * float(np.log10(max(ratio, 1e-30))),
        None if reference.batch is None else accuracy(small, reference.batch),
        reference.accuracy,
        before.bytes - after.bytes,
        before.macs - after.macs,
        instructions,
    )


def to_json(found: Mapping[str, Sensitivity]) -> str:
    """Results by key, as text that `from_json` reads."""
    return json.dumps({key: asdict(each) for key, each in found.items()}, indent=1) + "\n"


def from_json(text: str) -> dict[str, Sensitivity]:
    """Results by key.

    Raises:
        ValueError: the text is something else.
    """
    try:
        return {key: Sensitivity(**each) for key, each in json.loads(text).items()}
    except (TypeError, AttributeError) as error:
        raise ValueError("no sensitivities") from error
