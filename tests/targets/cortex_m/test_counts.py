"""Instructions of the reference models: exact outputs, and counts within 2 % of what is noted here.

A count that falls is good news: put the new figure in (`tests/benchmarks/cortex_m.py` prints it).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

DEVICES = {
    "M3": "qemu_mps2_an385",
    "M4": "qemu_mps2_an386",
    "M33": "qemu_mps2_an505",
    "M55": "qemu_mps3_an547",
}
MODELS = {
    "kws": "kws_ref_model",
    "resnet8": "pretrainedResnet_quant",
    "vww": "vww_96_int8",
    "ad": "ad01_int8",
}
COUNTS = {
    ("kws", "M3"): 10_337_775,
    ("kws", "M4"): 3_399_124,
    ("kws", "M33"): 3_399_124,
    ("resnet8", "M4"): 12_412_785,
    ("ad", "M4"): 316_713,
    ("kws", "M55"): 599_381,
    ("resnet8", "M55"): 1_780_561,
    ("vww", "M55"): 1_327_802,
    ("ad", "M55"): 54_635,
}
TOLERANCE = 1.02


@pytest.mark.parametrize(("model", "core"), COUNTS)
def test_the_count_is_the_committed_one(
    model: str, core: str, shared: Path, tmp_path: Path
) -> None:
    folder, name = shared / "models", MODELS[model]
    path = tmp_path / "model.edge"
    manifest = compile_model(load(folder / f"{name}.tflite"), load_device(DEVICES[core]), path)
    golden = np.load(folder / "golden" / f"{name}.npz")
    x = golden["input_0"][0].reshape(manifest.inputs[0].shape)
    with Session(open_artifact(path)) as session:
        (y,) = session.engine.run([x])
        np.testing.assert_array_equal(y.reshape(-1), golden["output_0_ref"][0].reshape(-1))
        counts = session.engine.count([x])
    wanted = COUNTS[model, core]
    assert wanted / TOLERANCE < counts.instructions < wanted * TOLERANCE
    # what the manifest promises of the stack covers what was used
    assert counts.stack_bytes <= manifest.memory.stack_bytes
