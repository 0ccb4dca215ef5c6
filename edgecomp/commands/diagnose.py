"""`edgecomp diagnose`: which node a quantization hurts, and what would help."""

from __future__ import annotations

from edgecomp.commands.model_file import ModelFile
from edgecomp.commands.pass_files import PassFiles
from edgecomp.compress import compress_steps
from edgecomp.diagnosis import Diagnosis, diagnose
from edgecomp.errors import EdgecompError, Reason
from edgecomp.passes.context import Context
from edgecomp.passes.quantize import Quantize
from edgecomp.progress import Progress


def diagnose_file(
    file: ModelFile, given: PassFiles, worst: int, samples: int | None, progress: Progress
) -> Diagnosis:
    """Diagnose the quantization of a model file.

    Args:
        file: the model.
        given: passes, of which the last is a quantize pass (alone by default), and their data.
        worst: how many values are looked at closely.
        samples: samples used at most; 32 by default.
        progress: who is told how far it is.

    Raises:
        EdgecompError, InputError: all that is wrong with the options, the model or the data.
    """
    *earlier, quantize = given.passes() or (Quantize(),)
    if not isinstance(quantize, Quantize):
        reason = "only a quantization can be diagnosed"
        raise EdgecompError(Reason(reason, quantize.name, "let -p quantize be the last pass"))
    preprocess = file.parsed_preprocess()
    model = file.load()
    data, train = given.calibration(preprocess), given.training(preprocess)
    context = Context(data, train, original=model, progress=progress)
    for after in compress_steps(model, earlier, context):
        model = after
    return diagnose(model, quantize, context, worst, samples or 32)
