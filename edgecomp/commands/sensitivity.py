"""`edgecomp sensitivity`: every pass on every layer, one at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgecomp.commands.model_file import ModelFile, check_output
from edgecomp.commands.pass_files import PassFiles
from edgecomp.device import load_device
from edgecomp.errors import EdgecompError, Reason
from edgecomp.passes.context import Context
from edgecomp.passes.spread import spread
from edgecomp.progress import Progress
from edgecomp.sensitivity import Known, Sensitivity, from_json, sensitivities, to_json
from edgecomp.written import write_whole


@dataclass(frozen=True)
class Written:
    """The files that what was found is written to.

    Attributes:
        results: JSON, written as results come; those it has already are not found again.
        plot: charts, SVG.
    """

    results: Path | None = None
    plot: Path | None = None


@dataclass(frozen=True)
class Sensitivities:
    """What was found.

    Attributes:
        rows: pass by pass, layer by layer.
        written: the files it was written to.
    """

    rows: tuple[Sensitivity, ...]
    written: Written

    def to_json(self) -> dict[str, Any]:
        """The rows as plain values."""
        return {"rows": [asdict(row) for row in self.rows]}


def sensitivity_file(
    file: ModelFile,
    given: PassFiles,
    device: str | None,
    test: Path | None,
    written: Written,
    samples: int | None,
    progress: Progress,
) -> Sensitivities:
    """Measure a model file.

    Args:
        file: the model.
        given: the passes and their data; of several strengths, as `spread` says.
        device: name or path of a profile, for the instructions saved.
        test: labelled samples, for the accuracy.
        written: files to write.
        samples: outputs compared at most; 64 by default.
        progress: who is told how far it is.

    Raises:
        EdgecompError, InputError: all that is wrong with the options, the model or the data.
    """
    if written.plot is not None:
        check_output(written.plot, ".svg")
    passes = replace(given, specs=[one for spec in given.specs for one in spread(spec)]).passes()
    if not passes:
        raise EdgecompError(Reason("no pass was named", fix="give -p PASS or --recipe R.toml"))
    preprocess = file.parsed_preprocess()
    known = known_in(written.results)
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
        if written.results is not None:
            write_whole(written.results, to_json({**known, **found}).encode())
    if written.plot is not None:
        # imported here: what draws is of no use to a run without a plot
        from edgecomp.report.chart import svg
        from edgecomp.report.sensitivity_charts import sensitivity_charts

        write_whole(written.plot, svg(sensitivity_charts(tuple(found.values()))).encode())
    return Sensitivities(tuple(found.values()), written)


def known_in(output: Path | None) -> Known:
    """What the file `output` has; nothing where there is none.

    Raises:
        EdgecompError: it is something else.
    """
    if output is None or not output.exists():
        return {}
    try:
        return from_json(output.read_text(encoding="utf-8"))
    except ValueError as error:
        reason = "the file is there and holds no sensitivities"
        raise EdgecompError(Reason(reason, str(output), "name another, or remove it")) from error
