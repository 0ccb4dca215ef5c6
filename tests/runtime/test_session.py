"""The session: raw in, raw out; real in, real out; every wrong input a sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecomp_runtime import InputError, Session
from edgecomp_runtime.links import run_artifact
from edgecomp_runtime.npz import write_arrays


@pytest.fixture
def session(single_path):
    with Session(single_path) as made:
        yield made


def test_raw_in_raw_out(session):
    raw = np.full((1, 2, 3, 4), -5, np.int8)
    outputs = session.run({"image": raw})
    assert list(outputs) == ["sum"]
    assert outputs["sum"].dtype == np.int8
    assert (outputs["sum"] == -4).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, ">f4", np.float16])
def test_real_in_real_out(session, dtype):
    real = np.full((2, 3, 4), 3, dtype)  # 3 / 0.5 - 3 = 3, plus 1 = 4, (4 - 10) * 0.25 = -1.5
    outputs = session.run([real])
    assert outputs["sum"].dtype == np.float32
    np.testing.assert_array_equal(outputs["sum"], np.full((1, 2, 3, 4), -1.5))


def test_one_real_input_makes_the_outputs_real(mixed_path):
    with Session(mixed_path) as session:
        level = np.arange(5, dtype=np.int16)
        gain, index = np.ones(5, np.float32), np.array(1, np.int32)
        raw = session.run([level, gain, index])
        real = session.run({"gain": gain, "index": 1, "level": level.astype(np.float32) * 0.125})
    np.testing.assert_array_equal(raw["scaled"], [[1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(real["scaled"], raw["scaled"])
    assert real["misaligned"] == 0


def test_recordings_are_preprocessed(single, tmp_path):
    manifest = replace(single.manifest, preprocess="scale=1/2,layout=nchw")
    recorded = np.arange(24, dtype=np.uint8).reshape(3, 4, 2)
    expected = recorded.transpose(2, 0, 1) / 2
    with Session(single.write(tmp_path / "a.edge", manifest)) as session:
        from_recording = session.run([recorded])["sum"]
        from_real = session.run([expected])["sum"]
        raw, _ = session.prepare([recorded])
    np.testing.assert_array_equal(from_recording, from_real)
    np.testing.assert_array_equal(raw[0][0], np.rint(expected / 0.5).astype(int) - 3)


@pytest.mark.parametrize(
    ("inputs", "reasons"),
    [
        ({}, ["no array for the input 'image'"]),
        ({"picture": 0}, ["no array for the input 'image'", "no input 'picture'"]),
        ([], ["takes 1 inputs (image), 0 given"]),
        (np.zeros((1, 2, 3, 4)), ["one array given"]),
        ([np.zeros((1, 2, 3, 4)), 0], ["2 given"]),
        ([np.zeros((2, 2, 3, 4))], ["image: the array has shape [2, 2, 3, 4]"]),
        ([np.zeros(24, np.int8)], ["image: the array has shape [24]"]),
        ([[[1, 2], [3]]], ["image: the values make no array"]),
        ([np.full((2, 3, 4), np.nan)], ["image: the array holds NaN"]),
        ([np.full((2, 3, 4), "x")], ["image: the array is <U1"]),
    ],
)
def test_wrong_inputs_are_told(session, inputs, reasons):
    with pytest.raises(InputError) as caught:
        session.run(inputs)
    assert len(caught.value.reasons) == len(reasons)
    for reason in reasons:
        assert reason in str(caught.value)


def test_all_wrong_inputs_are_told_at_once(mixed_path):
    with Session(mixed_path) as session, pytest.raises(InputError) as caught:
        session.run([np.zeros(4), np.zeros(6), 1.5])
    assert [reason.split(":")[0] for reason in caught.value.reasons] == ["level", "gain", "index"]


def test_samples_run_as_they_are_asked_for(session):
    images = np.arange(72, dtype=np.int8).reshape(3, 1, 2, 3, 4)
    outputs = session.run_samples([image] for image in images)
    np.testing.assert_array_equal(next(outputs)["sum"], images[0] + 1)
    assert len(list(outputs)) == 2


def test_files_in_files_out(single_path, tmp_path):
    raw = np.arange(96, dtype=np.int8).reshape(4, 2, 3, 4)
    write_arrays(tmp_path / "x.npz", {"anything": raw})
    assert run_artifact(single_path, tmp_path / "x.npz", tmp_path / "y.npz") == 4
    with np.load(tmp_path / "y.npz") as written:
        assert set(written.files) == {"output_0", "sum"}
        np.testing.assert_array_equal(written["output_0"], raw.reshape(4, 1, 2, 3, 4) + 1)
        np.testing.assert_array_equal(written["sum"], written["output_0"])


class BatchSum:
    """An engine that adds 1 to every sample of a batch, and remembers the batches."""

    name = "batch"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs):
        return self.run_batch([inputs])[0]

    def run_batch(self, samples):
        self.batches.append(len(samples))
        return [[inputs[0] + np.int8(1)] for inputs in samples]

    def close(self) -> None:
        self.batches = []


def test_an_engine_of_batches_gets_many_samples_at_once_as_they_are_asked_for(single_path):
    engine = BatchSum()
    raw = [[np.full((1, 2, 3, 4), value, np.int8)] for value in range(70)]
    with Session(single_path, engine) as session:
        outputs = session.run_samples(raw)
        assert next(outputs)["sum"].flat[0] == 1
        assert engine.batches == [32]
        rest = [output["sum"].flat[0] for output in outputs]
        assert rest == list(range(2, 71))
        assert engine.batches == [32, 32, 6]
        session.run(raw[0])
        assert engine.batches[-1] == 1


def test_state_that_is_carried_runs_one_sample_at_a_time(single_path):
    engine = BatchSum()
    raw = [[np.zeros((1, 2, 3, 4), np.int8)]] * 3
    with Session(single_path, engine, carry=True) as session:
        assert len(list(session.run_samples(raw))) == 3
        assert engine.batches == [1, 1, 1]
