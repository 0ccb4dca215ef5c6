"""Measurements: all samples kept, modelled never mixed with measured, JSON there and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgecomp_runtime import InputError, Session, open_artifact
from edgecomp_runtime.energy import RaplMeter
from edgecomp_runtime.engines import Counts
from edgecomp_runtime.examples import example_inputs
from edgecomp_runtime.host import environment
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.measure import bench
from edgecomp_runtime.measurement import measurement_from_json


class _Counting:
    """An engine that counts what it is told."""

    name = "unicorn"

    def __init__(self, counts):
        self.counts = counts
        self.inputs = []

    def run(self, inputs):
        return [inputs[0]]

    def count(self, inputs):
        self.inputs.append(inputs)
        return self.counts

    def close(self):
        self.inputs.clear()


def test_native_times_are_measured_and_energy_says_it_is_not(single_path):
    steps = []
    with Session(single_path) as session:
        measurement = bench(
            session, repeat=20, warmup=3, progress=lambda done, total: steps.append((done, total))
        )
    assert len(measurement.samples_s) == 20
    assert steps[-1] == (23, 23)
    values = measurement.to_json()
    assert values["device"] == "host"
    assert values["link"] == "native:"
    assert values["latency_kind"] == "measured"
    assert values["instructions"] is None
    assert values["cycles"] is None
    assert values["cycles_kind"] is None
    latency = values["latency_s"]
    assert min(measurement.samples_s) <= latency["p50"] <= latency["p90"] <= latency["p99"]
    assert values["energy_kind"] == "modelled"
    assert values["energy_j"] == pytest.approx(10 * latency["p50"])
    assert [op["name"] for op in values["per_op"]] == ["/first/Add", "/second/Relu"]
    assert {op["instructions"] for op in values["per_op"]} == {None}
    assert values["environment"]["kernel"]


def test_a_meter_measures(single_path, tmp_path):
    folder = tmp_path / "sys/class/powercap/intel-rapl:0"
    folder.mkdir(parents=True)
    for name, text in {"name": "package-0", "max_energy_range_uj": "99", "energy_uj": "5"}.items():
        (folder / name).write_text(text)
    with Session(single_path) as session:
        measurement = bench(session, repeat=2, meter=RaplMeter.find(tmp_path))
    assert measurement.energy.kind == "measured"
    assert measurement.energy.joules == 0  # the file's counter stands still


def test_emulated_times_are_modelled(single_path):
    engine = _Counting(Counts(1000, (600, 300), 48))
    samples = [[np.full((1, 2, 3, 4), value, np.int8)] for value in (7, 8)]
    with Session(open_artifact(single_path), engine) as session:
        measurement = bench(session, samples, repeat=9)
        assert [inputs[0].flat[0] for inputs in engine.inputs] == [7]
    values = measurement.to_json()
    assert values["instructions"] == 1000
    assert values["cycles"] == 500
    assert values["cycles_kind"] == values["latency_kind"] == values["energy_kind"] == "modelled"
    assert values["latency_s"] == dict.fromkeys(("p50", "p90", "p99"), 500 / 2e9)
    assert values["energy_j"] == pytest.approx(10 * 500 / 2e9)
    assert values["stack_bytes"] == 48
    assert values["per_op"][1] == {
        "name": "/second/Relu",
        "op": "Relu",
        "instructions": 300,
        "cycles": 150,
        "latency_s": 150 / 2e9,
    }


def test_an_emulator_that_cannot_tell_calls_apart(single_path):
    engine = _Counting(Counts(1000))
    with Session(open_artifact(single_path), engine) as session:
        assert [op.instructions for op in bench(session).per_op] == [None, None]


def test_json_there_and_back(single_path):
    for engine in (None, _Counting(Counts(1000, (600, 300)))):
        with Session(open_artifact(single_path), engine) as session:
            measurement = bench(session, repeat=3)
        text = json.dumps(measurement.to_json(), allow_nan=False)
        assert measurement_from_json(json.loads(text)) == measurement
    with pytest.raises(ValueError, match="lacks or misspells"):
        measurement_from_json({"device": "host"})


@pytest.mark.parametrize("options", [{"repeat": 0}, {"warmup": -1}, {"samples": []}])
def test_impossible_options_are_told(single_path, options):
    with Session(single_path) as session, pytest.raises(InputError, match="bench"):
        bench(session, **options)


def test_an_engine_that_measures_nothing_is_told(single_path):
    class Mute:
        name = "mute"

        def run(self, inputs):
            return inputs

        def close(self):
            return

    with (
        Session(open_artifact(single_path), Mute()) as session,
        pytest.raises(InputError, match="neither times nor counts"),
    ):
        bench(session)


def test_example_inputs_are_the_same_each_time_and_safe():
    specs = [
        TensorSpec("q", (1, 500), "int8", 0.1, 0),
        TensorSpec("f", (3,), "float32"),
        TensorSpec("ids", (4,), "int64"),
    ]
    first, second = example_inputs(specs), example_inputs(specs)
    for one, other, spec in zip(first, second, specs, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == spec.dtype
        assert one.shape == spec.shape
    assert first[0].min() < -120
    assert first[0].max() > 120
    assert not first[2].any()


def test_the_environment_of_a_board(tmp_path):
    files = {
        "proc/cpuinfo": "processor: 0\nFeatures: fp asimd\nModel: Raspberry Pi 9\n",
        "proc/device-tree/model": "Raspberry Pi 9 Model Z\0",
        "proc/loadavg": "0.25 0.1 0.1 1/99 1234\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        "sys/class/thermal/thermal_zone0/temp": "41234\n",
        "sys/class/thermal/thermal_zone1/temp": "61500\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = environment(tmp_path)
    assert found.cpu_model == "Raspberry Pi 9 Model Z"
    assert found.governor == "ondemand"
    assert found.clock_hz == 1.5e9
    assert found.temperature_c == 61.5
    assert found.load == 0.25


def test_the_environment_of_a_machine_that_says_nothing(tmp_path):
    found = environment(tmp_path)
    assert found.cpu_model is None
    assert found.governor is None
    assert found.clock_hz is None
    assert found.temperature_c is None
