"""edgerun: exit codes, streams and JSON that scripts rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from edgecomp_runtime.cli import main
from edgecomp_runtime.npz import write_arrays


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "x.npz"
    write_arrays(path, {"image": np.zeros((2, 2, 3, 4), np.float32)})
    return path


def test_info_for_people_and_scripts(single_path, capsys):
    assert main(["info", str(single_path)]) == 0
    people = capsys.readouterr()
    assert "image int8 1x2x3x4 scale 0.5 zero point -3" in people.out
    assert "/first/Add" in people.out
    assert main(["info", str(single_path), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    keys = (
        "device target flash_bytes weights_bytes code_bytes ram_bytes arena_bytes stack_bytes "
        "state_bytes macs ops"
    )
    assert set(keys.split()) <= set(values)
    assert values["macs"] == 24
    assert {"name", "op", "kernel", "where", "macs"} <= set(values["ops"][0])


def test_run_writes_what_it_says(single_path, data, tmp_path, capsys):
    output = tmp_path / "y.npz"
    arguments = ["run", str(single_path), "--input", str(data), "-o", str(output)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{output}: outputs of 2 samples\n"
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 2
    with np.load(output) as written:
        assert written["output_0"].shape == (2, 1, 2, 3, 4)
        assert written["output_0"].dtype == np.float32


def test_bench_for_people_and_scripts(single_path, data, capsys):
    assert main(["bench", str(single_path), "--repeat", "4"]) == 0
    people = capsys.readouterr().out
    assert "(measured)" in people
    assert "modelled" in people or "rapl" in people
    arguments = ["bench", str(single_path), "--json", "--input", str(data), "--on", "native:"]
    assert main([*arguments, "--repeat", "4", "--warmup", "0"]) == 0
    values = json.loads(capsys.readouterr().out)
    keys = "device link instructions cycles latency_s energy_j energy_kind per_op"
    assert set(keys.split()) <= set(values)
    assert set(values["latency_s"]) == {"p50", "p90", "p99"}
    assert set(values["per_op"][0]) >= {"name", "instructions", "cycles", "latency_s"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "none.edge"],
        ["run", "FILE", "--input", "none.npz", "-o", "y.npz"],
        ["run", "FILE", "--input", "DATA", "-o", "none/y.npz"],
        ["bench", "FILE", "--repeat", "0"],
        ["bench", "FILE", "--on", "telepathy:"],
        ["bench", "FILE", "--on", "ssh://"],
    ],
)
def test_wrong_input_is_a_sentence_and_one(single_path, data, arguments, capsys, monkeypatch):
    monkeypatch.chdir(single_path.parent)
    names = {"FILE": str(single_path), "DATA": str(data)}
    assert main([names.get(argument, argument) for argument in arguments]) == 1
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("edgerun: ")
    assert "Traceback" not in streams.err
    assert not (single_path.parent / "y.npz").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run", "x.edge"], ["bench", "x", "--repeat", "x"]]
)
def test_wrong_usage_is_two(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: edgerun" in capsys.readouterr().err


def test_a_traceback_is_shown_only_when_asked_for(tmp_path):
    command = [sys.executable, "-m", "edgecomp_runtime.cli", "info", str(tmp_path / "none.edge")]
    quiet = {**os.environ, "EDGECOMP_DEBUG": "0"}
    debug = {**os.environ, "EDGECOMP_DEBUG": "1"}
    silent = subprocess.run(command, capture_output=True, text=True, env=quiet, check=False)
    loud = subprocess.run(command, capture_output=True, text=True, env=debug, check=False)
    assert silent.returncode == 1
    assert "Traceback" not in silent.stderr
    assert "Traceback" in loud.stderr
