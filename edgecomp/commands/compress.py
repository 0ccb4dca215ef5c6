"""`edgecomp compress`: passes applied to a model, ONNX in and ONNX out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgecomp.commands.model_file import ModelFile, check_output
from edgecomp.commands.pass_files import PassFiles
from edgecomp.commands.sensitivity import known_in
from edgecomp.compress import Statistics, compress_steps, save_model, statistics
from edgecomp.device import Device, load_device
from edgecomp.diagnosis import noise_of_run
from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.notes import notes_of
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.progress import Progress
from edgecomp.quantization_noise import ModelNoise
from edgecomp.recipe import write_recipe
from edgecomp.sensitivity import Sensitivity, layers_of
from edgecomp.training.accuracy import accuracy
from edgecomp.training_data import Batch


@dataclass(frozen=True)
class Step:
    """A model on its way.

    Attributes:
        spec: the pass that made it; "" for the model as it came.
        brief: the same for people, without the options that have their defaults.
        statistics: what it costs.
        accuracy: share of right answers on the test samples, where there are any.
    """

    spec: str
    brief: str
    statistics: Statistics
    accuracy: float | None


@dataclass(frozen=True)
class Compressed:
    """What the passes did.

    Attributes:
        output: the ONNX file written.
        passes: the spec of every pass the model has been through.
        steps: the model as it came, and after each pass.
        device: what it was compressed for, or None.
        left: why passes left layers as they were, by the layer's name.
    """

    output: Path
    passes: tuple[str, ...]
    steps: tuple[Step, ...]
    device: Device | None
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def left_by_reason(self) -> Mapping[str, Sequence[str]]:
        """The layers left as they were for each reason."""
        found: dict[str, list[str]] = {}
        for name, why in self.left.items():
            found.setdefault(why, []).append(name)
        return found

    @property
    def before(self) -> Statistics:
        """What the model cost as it came."""
        return self.steps[0].statistics

    @property
    def after(self) -> Statistics:
        """What it costs now."""
        return self.steps[-1].statistics

    def to_json(self) -> dict[str, Any]:
        """The keys of the contract, the steps, the passes and the file."""
        return {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "steps": [asdict(step) for step in self.steps],
            "passes": list(self.passes),
            "left": dict(self.left),
            "output": str(self.output),
        }


@dataclass(frozen=True)
class Extras:
    """What `compress` does beside writing the model.

    Attributes:
        device: name or path of the profile of what the model is compressed for.
        test: labelled samples to measure the accuracy on after each pass.
        report: an HTML page to write.
        save_recipe: a recipe to write that repeats the run.
        sensitivities: what `edgecomp sensitivity` wrote of the model, for the report.
    """

    device: str | None = None
    test: Path | None = None
    report: Path | None = None
    save_recipe: Path | None = None
    sensitivities: Path | None = None


def compress_file(
    file: ModelFile, given: PassFiles, output: Path, extras: Extras, progress: Progress
) -> Compressed:
    """Apply passes to a model file and write another.

    Args:
        file: the model.
        given: the passes and their data.
        output: the ONNX file to write, whole or not at all.
        extras: what else to measure and write.
        progress: who is told how far it is.

    Raises:
        EdgecompError, InputError: all that is wrong with the options, the model or the data.
    """
    check_output(output, ".onnx")
    passes = given.passes()
    if not passes:
        raise EdgecompError(Reason("no pass was named", fix="give -p PASS or --recipe R.toml"))
    device = None if extras.device is None else load_device(extras.device)
    preprocess = file.parsed_preprocess()
    model = file.load()
    curves = _curves(extras, model, passes)
    tested = PassFiles((), train=extras.test).training(preprocess)
    batch = None if tested is None else tested.load(model.inputs)
    checkpoints = output.with_suffix(".checkpoints")
    context = Context(
        given.calibration(preprocess),
        given.training(preprocess),
        device,
        model,
        checkpoints,
        progress,
    )
    models = [model]
    steps = [Step("", "", statistics(model, device), _accuracy(model, batch))]
    for each, after in zip(passes, compress_steps(model, passes, context), strict=True):
        models.append(after)
        share = _accuracy(after, batch)
        steps.append(Step(str(each), each.brief, statistics(after, device), share))
    left = notes_of(models[-1])
    result = Compressed(output, models[-1].history, tuple(steps), device, left)
    save_model(models[-1], output)
    if extras.save_recipe is not None:
        write_recipe([str(each) for each in passes], extras.save_recipe)
    if extras.report is not None:
        noise = noise_of_run(passes, models, context)
        _write_report(result, models, curves, noise, extras.report)
    shutil.rmtree(checkpoints, ignore_errors=True)  # of no use once the work is done
    return result


def _accuracy(model: Model, batch: Batch | None) -> float | None:
    return None if batch is None else accuracy(model, batch)


def _curves(extras: Extras, model: Model, passes: Sequence[Pass]) -> Sequence[Sensitivity]:
    """What is known of the sensitivity of `model` to `passes`; nothing is measured for it."""
    path = extras.sensitivities
    if path is None:
        return ()
    if extras.report is None:
        raise EdgecompError(Reason("sensitivities are for a report", str(path), "give --report"))
    if not path.exists():
        fix = "write it with `edgecomp sensitivity -o`"
        raise EdgecompError(Reason("there is no such file", str(path), fix))
    rows = tuple(known_in(path).values())
    strangers = sorted({row.node for row in rows} - set(layers_of(model)))
    if strangers:
        reason = f"the model has no layer {strangers[0]!r}"
        raise EdgecompError(Reason(reason, str(path), "name a file on this model"))
    names = {each.name for each in passes}
    return tuple(row for row in rows if row.spec.partition(":")[0] in names)


def _write_report(
    result: Compressed,
    models: Sequence[Model],
    curves: Sequence[Sensitivity],
    noise: ModelNoise | None,
    path: Path,
) -> None:
    # imported here: templates take a moment that the other runs save
    from edgecomp.report.page import write_page

    write_page(result, models[0], models[-1], curves, noise, path)
