"""Data files by their conventions, and the one rounding."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgecomp_runtime import InputError
from edgecomp_runtime.data import (
    count_samples,
    from_program,
    read_samples,
    stream_samples,
    to_program,
    write_outputs,
)
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.preprocess import Preprocess

IMAGE = TensorSpec("image", (1, 3, 4, 5), "int8", 0.5, -3)
FIRST = TensorSpec("a/first:0", (1, 2), "float32")
SECOND = TensorSpec("second", (3,), "int8", 0.1, 0)

QUANTIZED = st.builds(
    lambda dtype, scale, share: TensorSpec(
        "x",
        (4,),
        dtype,
        scale,
        int(np.iinfo(dtype).min + share * (int(np.iinfo(dtype).max) - int(np.iinfo(dtype).min))),
    ),
    st.sampled_from(["int8", "uint8", "int16"]),
    st.floats(2**-20, 2**10, width=32),
    st.floats(0, 1),
)
REALS = hnp.arrays(np.float32, 4, elements=st.floats(width=32, allow_nan=False))


def _save(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


@given(QUANTIZED, REALS)
def test_the_rounding_is_that_of_onnx(spec, real):
    with np.errstate(over="ignore"):
        steps = (real / np.float32(spec.scale)).astype(np.float32)
    limits = np.iinfo(spec.dtype)
    for got, step in zip(to_program(real, spec), steps, strict=True):
        rounded = round(float(step)) if np.isfinite(step) else step  # Python rounds half to even
        assert got == min(max(rounded + spec.zero_point, limits.min), limits.max)


@given(QUANTIZED, st.data())
def test_every_integer_survives_the_way_there_and_back(spec, data):
    limits = np.iinfo(spec.dtype)
    raw = data.draw(
        hnp.arrays(spec.dtype, 4, elements=st.integers(int(limits.min), int(limits.max)))
    )
    real = from_program(raw, spec)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(to_program(real, spec), raw)


@given(QUANTIZED, REALS, st.sampled_from([">f4", ">f8", "<f8"]))
def test_byte_order_and_strides_change_nothing(spec, real, dtype):
    wanted = to_program(real, spec)
    got = to_program(np.repeat(real, 2).astype(dtype)[::2], spec)
    np.testing.assert_array_equal(got, wanted)
    assert got.flags.c_contiguous
    assert got.dtype == np.dtype(spec.dtype)
    assert got.dtype.isnative


def test_halves_round_to_even_and_everything_saturates():
    spec = TensorSpec("x", (6,), "int8", 1.0, 0)
    real = np.array([0.5, 1.5, 2.5, -0.5, np.inf, -1e30])
    np.testing.assert_array_equal(to_program(real, spec), [0, 2, 2, 0, 127, -128])


def test_extremes_of_a_wide_integer_do_not_wrap():
    spec = TensorSpec("x", (2,), "int32", 1.0, 0)
    limits = np.iinfo(np.int32)
    np.testing.assert_array_equal(
        to_program(np.array([1e30, -1e30]), spec), [limits.max, limits.min]
    )


def test_arrays_of_the_programs_dtype_are_raw():
    raw = np.array([-128, 5, 127], ">i2")
    spec = TensorSpec("x", (3,), "int16", 7.0, 3)
    np.testing.assert_array_equal(to_program(raw, spec), raw)
    assert to_program(raw, spec).dtype.isnative


def test_shapes_survive_down_to_the_scalar():
    for shape in [(), (1,), (0,), (2, 0, 3), (1, 1)]:
        for spec in (IMAGE, TensorSpec("x", shape, "float32"), TensorSpec("x", shape, "int64")):
            assert to_program(np.zeros(shape), spec).shape == shape


@pytest.mark.parametrize(
    ("array", "spec", "reason"),
    [
        (np.array([0.0, np.nan]), IMAGE, "image: the array holds NaN"),
        (np.array([np.nan]), TensorSpec("ids", (1,), "int64"), "ids: the array holds NaN"),
        (np.array(["cat"]), IMAGE, "image: the array is <U3, not real numbers"),
        (np.array([1j]), IMAGE, "not real numbers"),
        (np.array([None]), IMAGE, "not real numbers"),
        (np.array([1.5]), TensorSpec("ids", (1,), "int64"), "ids: the input takes int64 values"),
        (np.array([2**40]), TensorSpec("ids", (1,), "int32"), "takes int32 values"),
        (np.array([2]), TensorSpec("mask", (1,), "bool"), "takes bool values"),
    ],
)
def test_values_without_a_meaning_are_told(array, spec, reason):
    with pytest.raises(InputError, match=reason):
        to_program(array, spec)


def test_values_that_fit_an_input_without_scale_are_taken():
    spec = TensorSpec("ids", (2,), "int32")
    np.testing.assert_array_equal(to_program(np.array([3.0, -1.0]), spec), [3, -1])
    assert to_program(np.array([3, 4], np.uint8), spec).dtype == np.int32
    assert np.isnan(to_program(np.array([np.nan]), FIRST)).all()  # a float model may take it


@pytest.mark.parametrize("name", ["image", "input_0", "pictures"])
@pytest.mark.parametrize("shape", [(7, 1, 3, 4, 5), (7, 3, 4, 5)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_one_input_is_found_by_name_position_or_shape(tmp_path, name, shape, order):
    values = np.arange(420).reshape(shape)
    path = _save(
        tmp_path,
        **{name: np.asarray(values, ">f4", order=order)},
        labels=np.arange(7, dtype=np.uint8),
        other=np.zeros((7, 2)),
        words=np.array(["a", "b"]),
    )
    samples = read_samples(path, [IMAGE])
    np.testing.assert_array_equal(samples.arrays[0], values.reshape(7, 1, 3, 4, 5))
    np.testing.assert_array_equal(samples.labels, np.arange(7))
    assert samples.count == len(list(samples)) == count_samples(path, [IMAGE]) == 7


def test_several_inputs_are_found_by_name_or_position(tmp_path):
    path = _save(
        tmp_path, **{"a/first:0": np.ones((4, 2))}, input_1=np.zeros((4, 3)), input_0=np.zeros(9)
    )
    samples = read_samples(path, [FIRST, SECOND])
    assert [array.shape for array in samples.arrays] == [(4, 1, 2), (4, 3)]
    assert samples.arrays[0].all()
    assert samples.labels is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.sampled_from(["C", "F"]))
def test_a_stream_gives_what_reading_gives(tmp_path_factory, count, block, compressed, order):
    path = tmp_path_factory.mktemp("stream") / "data.npz"
    values = np.random.default_rng(0).integers(0, 256, (count, 4, 5, 3)).astype(np.uint8)
    save = np.savez_compressed if compressed else np.savez
    save(path, image=np.asarray(values, order=order))
    preprocess = Preprocess.parse("scale=1/255,layout=nchw")
    blocks = [arrays[0] for arrays in stream_samples(path, [IMAGE], preprocess, block)]
    assert {len(array) for array in blocks[:-1]} <= {block}
    whole = read_samples(path, [IMAGE], preprocess).arrays[0]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    np.testing.assert_array_equal(
        whole[:, 0], (values / 255).astype(np.float32).transpose(0, 3, 1, 2)
    )


@pytest.mark.parametrize(
    ("arrays", "reasons"),
    [
        ({}, ["no array for the input 'image'", "the file holds no arrays"]),
        ({"labels": np.zeros((7, 3, 4, 5))}, ["no array for the input 'image'"]),
        ({"a": np.zeros((7, 3, 4, 5)), "b": np.zeros((2, 3, 4, 5))}, ["a [7, 3, 4, 5] float64"]),
        ({"image": np.zeros((3, 4, 6))}, ["array image has shape [3, 4, 6]", "[samples, 3, 4, 5]"]),
        ({"image": np.zeros(())}, ["array image has shape []"]),
        ({"image": np.zeros((0, 3, 4, 5))}, ["no samples"]),
        ({"image": np.full((1, 3, 4, 5), "x")}, ["array image is <U1, not real numbers"]),
        ({"image": np.full((1, 3, 4, 5), None)}, ["array image is object"]),
        ({"image": np.zeros((1, 3, 4, 5), complex)}, ["array image is complex128"]),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, arrays, reasons):
    path = _save(tmp_path, **arrays)
    with pytest.raises(InputError) as caught:
        read_samples(path, [IMAGE])
    for reason in [str(path), *reasons]:
        assert reason in str(caught.value)


def test_all_misfits_are_told_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        read_samples(_save(tmp_path, second=np.zeros((4, 4))), [FIRST, SECOND])
    assert len(caught.value.reasons) == 2
    path = _save(tmp_path, input_0=np.zeros((4, 2)), input_1=np.zeros((5, 3)))
    with pytest.raises(InputError, match="different numbers of samples"):
        read_samples(path, [FIRST, SECOND])


@pytest.mark.parametrize(
    "labels", [None, np.zeros(3), np.zeros(4, int), np.zeros((3, 2), int), np.array(["a"] * 3)]
)
def test_labels_matter_only_where_they_are_needed(tmp_path, labels):
    others = {} if labels is None else {"labels": labels}
    path = _save(tmp_path, image=np.zeros((3, 3, 4, 5)), **others)
    assert read_samples(path, [IMAGE]).labels is None
    with pytest.raises(InputError, match="labels are needed"):
        read_samples(path, [IMAGE], need_labels=True)


@pytest.mark.parametrize("kept", [0, 10, 200, -1])
def test_a_damaged_file_is_told(tmp_path, kept):
    path = _save(tmp_path, image=np.zeros((3, 3, 4, 5)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"not a whole \.npz file"):
        read_samples(path, [IMAGE])
    with pytest.raises(InputError, match="No such file"):
        read_samples(tmp_path / "none.npz", [IMAGE])


def test_flipped_bits_never_change_a_value(tmp_path):
    path = _save(tmp_path, image=np.zeros((3, 3, 4, 5)))
    contents = bytearray(path.read_bytes())
    for position in range(30, 260, 3):
        damaged = contents.copy()
        damaged[position] ^= 4
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            samples = read_samples(path, [IMAGE])
            assert samples.count == 3
            assert not samples.arrays[0].any()


def test_outputs_are_written_by_position_and_name(tmp_path):
    specs = [TensorSpec("output_1", (1,), "int8"), TensorSpec("file", (1,), "int8")]
    arrays = [np.array([[1]], np.int8), np.array([[2]], np.int8)]
    for name in ("one.npz", "two.npz"):
        write_outputs(tmp_path / name, specs, arrays)
    with np.load(tmp_path / "one.npz") as written:
        assert {key: written[key].item() for key in written.files} == {
            "output_0": 1,
            "output_1": 2,
            "file": 2,
        }
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_nothing_is_written_where_it_cannot_be(tmp_path):
    with pytest.raises(OSError, match="none"):
        write_outputs(tmp_path / "none/y.npz", [], [])
    with pytest.raises(AttributeError):
        write_outputs(tmp_path / "y.npz", [FIRST], [None.missing])  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
