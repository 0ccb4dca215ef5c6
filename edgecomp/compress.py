"""Apply passes to a model, one after the other, and write the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from edgecomp.calibration import CalibrationData
from edgecomp.device import Device
from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.cost import CORES, model_cost
from edgecomp.graph.summary import summarize
from edgecomp.history import write_history
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.progress import SILENT, Progress
from edgecomp.training_data import TrainingData
from edgecomp.written import write_whole


@dataclass(frozen=True)
class Statistics:
    """What a pass changes.

    Attributes:
        params: elements of all learned constants.
        macs: multiply-accumulates of one inference.
        bytes: bytes of all constants.
        instructions: modelled instructions of one inference on the device, as an int8 program;
            None where no device was named.
    """

    params: int
    macs: int
    bytes: int
    instructions: int | None = None


def statistics(model: Model, device: Device | None = None) -> Statistics:
    """Count `model`, and model what it costs on `device`."""
    summary = summarize(model)
    cost = None if device is None else round(model_cost(model, CORES[device.core]))
    return Statistics(summary.params, summary.macs, summary.bytes, cost)


def compress(
    model: Model,
    passes: Sequence[Pass],
    data: CalibrationData | None = None,
    progress: Progress = SILENT,
    *,
    train: TrainingData | None = None,
    device: Device | None = None,
    checkpoints: Path | None = None,
) -> Model:
    """`model` after all `passes`, in their order; the ONNX checker looks at what each made.

    Args:
        model: an imported model.
        passes: what to do.
        data: samples for passes that calibrate.
        progress: who is told how far each pass is.
        train: samples for passes that train or measure accuracy.
        device: what the model is compressed for.
        checkpoints: folder where long work keeps what it needs to go on after an interruption.

    Raises:
        EdgecompError: a pass cannot be applied, or made something that is no ONNX model.
    """
    context = Context(data, train, device, model, checkpoints, progress)
    for after in compress_steps(model, passes, context):
        model = after
    return model


def compress_steps(model: Model, passes: Sequence[Pass], context: Context) -> Iterator[Model]:
    """`model` after each of `passes`, which are applied one after the other, as in `compress`."""
    for each in passes:
        model = each.apply(model, context)
        _check(model, each)
        yield model


def _check(model: Model, applied: Pass) -> None:
    try:
        onnx.checker.check_model(ir.to_proto(model.graph), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EdgecompError(
            Reason(
                f"the pass left a broken model ({reason})",
                str(applied),
                "report this with the model and the spec",
            )
        ) from error


def save_model(model: Model, path: Path) -> None:
    """Write `model` as an ONNX file, whole or not at all, its history in the metadata.

    Raises:
        EdgecompError: the file cannot be written.
    """
    if path.suffix.lower() != ".onnx":
        raise EdgecompError(Reason("models are written as ONNX", str(path), "name a .onnx file"))
    proto = ir.to_proto(model.graph)
    write_history(proto, model.history)
    write_whole(path, proto.SerializeToString(deterministic=True))
