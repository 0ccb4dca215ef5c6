"""`--as mlf`: what readers of TVM's Model Library Format, version 7, look for."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp_runtime.artifact import Artifact

Array = npt.NDArray[Any]

# As a firmware made for microTVM calls a model.
MICROTVM = """\
#include <stdio.h>
#include "tvmgen_digits.h"
EDGECOMP_ARENA(pool, TVMGEN_DIGITS_GLOBAL_WORKSPACE_POOL_SIZE);
EDGECOMP_ARENA(in, digits_INPUT_0_BYTES);
EDGECOMP_ARENA(out, digits_OUTPUT_0_BYTES);
int main(void) {
  struct tvmgen_digits_inputs inputs = {.@INPUT@ = in};
  struct tvmgen_digits_outputs outputs = {.@OUTPUT@ = out};
  struct tvmgen_digits_workspace_pools pools = {.global_workspace = pool};
  if (fread(in, 1, sizeof in, stdin) != sizeof in) return 1;
  if (tvmgen_digits_run(&inputs, &outputs, &pools)) return 1;
  return fwrite(out, 1, sizeof out, stdout) != sizeof out;
}
"""


@pytest.fixture
def mlf(
    digits: Callable[[str], Artifact], streaming: Artifact, package: Any, tmp_path: Path
) -> Path:
    folder = package("mlf", digits("nucleo_l4r5zi"), streaming, name="both")
    with tarfile.open(folder / "both.tar") as archive:
        assert all(name.startswith("./") for name in archive.getnames())
        archive.extractall(tmp_path / "mlf", filter="data")
    return tmp_path / "mlf"


def test_the_metadata_counts_memory(mlf: Path, streaming: Artifact) -> None:
    metadata = json.loads((mlf / "metadata.json").read_text())
    assert metadata["version"] == 7
    assert set(metadata["modules"]) == {"digits", "streaming"}
    module = metadata["modules"]["streaming"]
    assert (module["model_name"], module["style"], module["executors"]) == (
        *("streaming", "full-model"),
        ["aot"],
    )
    (main,) = module["memory"]["functions"]["main"]
    assert main["workspace_size_bytes"] == streaming.manifest.memory.arena_bytes
    assert main["inputs"] == {"x": {"dtype": "float32", "size": 8}}
    assert main["outputs"] == {"y": {"dtype": "float32", "size": 8}}
    assert main["io_size_bytes"] == 16


def test_tvm_reads_the_parameters(mlf: Path) -> None:
    import tvm

    import edgecomp.lowering  # noqa: F401  TVM is imported by itself

    for model in ("digits", "streaming"):
        saved = (mlf / f"parameters/{model}.params").read_bytes()
        assert dict(tvm.runtime.load_param_dict(saved)) == {}


def test_microtvms_interface_gives_the_artifacts_bits(
    mlf: Path,
    tmp_path: Path,
    digits: Callable[[str], Artifact],
    raw_digits: Array,
    outputs_of: Any,
) -> None:
    artifact, host = digits("nucleo_l4r5zi"), mlf / "codegen/host"
    metadata = json.loads((mlf / "metadata.json").read_text())
    (main,) = metadata["modules"]["digits"]["memory"]["functions"]["main"]
    (name,), (result,) = main["inputs"], main["outputs"]
    text = MICROTVM.replace("@INPUT@", name).replace("@OUTPUT@", result)
    (tmp_path / "main.c").write_text(text)
    program = tmp_path / "program"
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{host / 'include'}"]
    sources = [host / "src/digits.c", tmp_path / "main.c"]
    subprocess.run([*command, *sources, "-o", program], check=True)
    (expected,) = outputs_of(artifact, raw_digits[:1])
    given = raw_digits[0].tobytes()
    said = subprocess.run([program], input=given, capture_output=True, check=True).stdout
    np.testing.assert_array_equal(np.frombuffer(said, np.int8), expected.reshape(-1))


def test_a_model_with_state_has_its_own_interface_alone(mlf: Path) -> None:
    headers = {path.name for path in (mlf / "codegen/host/include").iterdir()}
    assert headers == {"both.h", "digits.h", "streaming.h", "tvmgen_digits.h"}
