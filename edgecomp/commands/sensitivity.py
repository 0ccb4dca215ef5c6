"""`edgecomp sensitivity`: every pass on every layer, one at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgecomp.commands.model_file import ModelFile
from edgecomp.commands.pass_files import PassFiles
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError, Reason
from edgecomp.passes.context import Context
from edgecomp.progress import Progress
from edgecomp.sensitivity import Known, Sensitivity, from_json, sensitivities, to_json
from edgecomp.written import write_whole


@dataclass(frozen=True)
class Sensitivities:
    """What was found.

    Attributes:
        rows: pass by pass, layer by layer.
        output: the file it was written to, or None.
    """

    rows: tuple[Sensitivity, ...]
    output: Path | None

    def to_json(self) -> dict[str, Any]:
        """The rows as plain values."""
        return {"rows": [asdict(row) for row in self.rows]}


def sensitivity_file(
    file: ModelFile,
    given: PassFiles,
    device: str | None,
    test: Path | None,
    output: Path | None,
    samples: int | None,
    progress: Progress,
) -> Sensitivities:
    """Measure a model file.

    Args:
        file: the model.
        given: the passes and their data.
        device: name or path of a profile, for the instructions saved.
        test: labelled samples, for the accuracy.
        output: a JSON file to write as results come; those it has already are not found again.
        samples: outputs compared at most; 64 by default.
        progress: who is told how far it is.

    Raises:
        EdgecompError, InputError: all that is wrong with the options, the model or the data.
    """
    passes = given.passes()
    if not passes:
        raise EdgecompError(Reason("no pass was named", fix="give -p PASS or --recipe R.toml"))
    preprocess = file.parsed_preprocess()
    known = _known(output)
    model = file.load()
    tested = PassFiles((), train=test).training(preprocess)
    batch = None if tested is None else tested.load(model.inputs)
    context = Context(
        given.calibration(preprocess),
        given.training(preprocess),
        None if device is None else load_device(device),
        model,
        None,
        progress,
    )
    found: dict[str, Sensitivity] = {}
    for key, each in sensitivities(model, passes, context, batch, samples or 64, known):
        found[key] = each
        if output is not None:
            write_whole(output, to_json({**known, **found}).encode())
    return Sensitivities(tuple(found.values()), output)


def _known(output: Path | None) -> Known:
    if output is None or not output.exists():
        return {}
    try:
        return from_json(output.read_text(encoding="utf-8"))
    except ValueError as error:
        reason = "the file is there and holds no sensitivities"
        raise EdgecompError(Reason(reason, str(output), "name another, or remove it")) from error
