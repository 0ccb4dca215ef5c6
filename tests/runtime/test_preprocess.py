"""Preprocessing: specs that recreate themselves, exact values, layouts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecomp_runtime import InputError
from edgecomp_runtime.preprocess import Preprocess

NUMBERS = st.fractions(-300, 300, max_denominator=1000) | st.floats(
    -300, 300, width=32, allow_subnormal=False
).map(Fraction)
NONZERO = NUMBERS.filter(bool)


@given(
    st.builds(
        Preprocess,
        NUMBERS,
        st.lists(NUMBERS, min_size=3, max_size=3).map(tuple) | st.tuples(NUMBERS),
        st.lists(NONZERO, min_size=3, max_size=3).map(tuple) | st.tuples(NONZERO),
        st.sampled_from([None, "nchw", "nhwc"]),
    )
)
def test_the_text_recreates_it(preprocess):
    recreated = Preprocess.parse(str(preprocess))
    assert recreated.channels <= preprocess.channels
    image = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    np.testing.assert_array_equal(recreated.apply(image), preprocess.apply(image))


def test_the_text_is_what_people_write():
    spec = "scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,layout=nchw"
    assert str(Preprocess.parse(spec)) == spec
    assert str(Preprocess.parse("")) == ""
    assert str(Preprocess.parse("mean=127.5,std=127.5,scale=1")) == "mean=127.5,std=127.5"


def test_values_are_rounded_once():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    got = Preprocess.parse("scale=1/255,mean=0.1,std=0.3").apply(image)
    exact = [
        float((Fraction(v, 255) - Fraction(1, 10)) / Fraction(3, 10))
        for v in image.ravel().tolist()
    ]
    np.testing.assert_array_equal(got.ravel(), np.array(exact, np.float32))


def test_channels_follow_the_layout():
    recorded = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    centred = recorded.astype(np.float32) - np.array([1, 2, 3], np.float32)
    nchw = Preprocess.parse("mean=1:2:3,layout=nchw")
    np.testing.assert_array_equal(nchw.apply(recorded), centred.transpose(0, 3, 1, 2))
    assert nchw.recorded_shape((1, 3, 4, 6)) == (1, 4, 6, 3)
    same = Preprocess.parse("mean=1:2:3")
    np.testing.assert_array_equal(same.apply(recorded), centred)
    planar = recorded.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(same.apply(planar), centred.transpose(0, 3, 1, 2))
    with pytest.raises(InputError, match=r"3 channels, an array of shape \[5, 7\]"):
        same.apply(np.zeros((5, 7), np.uint8))


@pytest.mark.parametrize(
    ("spec", "reasons"),
    [
        ("size=3", ["there is no option 'size'; choose from scale, mean, std, layout"]),
        ("scale=x,layout=hwc", ["scale=x is not a number", "layout=hwc is not a layout"]),
        ("scale=1/0", ["scale=1/0 is not a number"]),
        ("mean=1:2:,std", ["mean=1:2: is not a number", "std= is not a number"]),
        ("scale=nan", ["not a number"]),
        ("scale=1e40,std=1e-60", ["beyond the range", "beyond the range"]),
        ("scale=1,scale=2", ["scale is given twice"]),
        ("std=1:0:1", ["std=0 divides by zero"]),
        ("mean=1:2:3,std=1:2", ["mean has 3 channels and std 2"]),
    ],
)
def test_mistakes_are_told_all_at_once(spec, reasons):
    with pytest.raises(InputError) as caught:
        Preprocess.parse(spec)
    assert len(caught.value.reasons) == len(reasons)
    for reason in reasons:
        assert reason in str(caught.value)
