"""Specs: what is printed is read back, and every mistake is told at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecomp.errors import EdgecompError
from edgecomp.passes import PASSES, describe, parse_pass, parse_passes
from edgecomp.passes.base import Pass
from edgecomp.passes.options import option
from edgecomp.passes.quantize import Quantize
from edgecomp.passes.ranges import ESTIMATORS

specs = st.builds(
    Quantize,
    estimator=st.sampled_from(sorted(ESTIMATORS)),
    percentile=st.floats(90, 100) | st.integers(90, 100),
    samples=st.integers(1, 10**9),
    per_channel=st.booleans(),
    bias_correction=st.booleans(),
    exclude=st.lists(st.text(min_size=1), max_size=3).map(tuple),
)


@given(specs)
def test_a_spec_recreates_the_pass_and_itself(original: Quantize) -> None:
    spec = str(original)
    assert parse_pass(spec) == original
    assert str(parse_pass(spec)) == spec


def test_defaults_and_a_few_options() -> None:
    assert parse_pass("quantize") == Quantize()
    assert parse_pass("quantize:estimator=percentile,percentile=99.9") == Quantize(
        estimator="percentile", percentile=99.9
    )
    assert parse_pass("quantize:exclude=conv_1+*/Soft?max") == Quantize(
        exclude=("conv_1", "*/Soft?max")
    )
    assert str(Quantize()).startswith("quantize:estimator=mse,percentile=99.99,")


def test_every_mistake_is_told_with_what_is_allowed_and_the_default() -> None:
    spec = "quantize:estimator=best,percentile=3,samples=1.5,per_channel=maybe,sample=4,exclude"
    with pytest.raises(EdgecompError) as caught:
        parse_pass(spec)
    told = [str(reason) for reason in caught.value.reasons]
    assert told == [
        "quantize: estimator cannot be 'best'; "
        "give one of mse, percentile, minmax, entropy (the default is mse)",
        "quantize: percentile cannot be '3'; give a number from 90 to 100 (the default is 99.99)",
        "quantize: samples cannot be '1.5'; give a whole number of at least 1 (the default is 512)",
        "quantize: per_channel cannot be 'maybe'; give true or false (the default is true)",
        "quantize: there is no option 'sample'; did you mean samples? There are estimator, "
        "percentile, samples, per_channel, bias_correction, exclude, weights, "
        "activations, max_drop, bytes, ms, rounding, equalize, smooth",
        "quantize: exclude has no value; write exclude=VALUE",
    ]


def test_an_option_given_twice() -> None:
    with pytest.raises(EdgecompError, match="samples is given twice; give it once"):
        parse_pass("quantize:samples=3,samples=4")


def test_the_mistakes_of_several_specs_are_told_together() -> None:
    with pytest.raises(EdgecompError) as caught:
        parse_passes(["quantise", "quantize", "quantize:samples=0"])
    assert len(caught.value.reasons) == 2
    assert parse_passes(["quantize", "quantize:samples=3"]) == (Quantize(), Quantize(samples=3))


def test_an_unknown_pass_lists_those_there_are() -> None:
    with pytest.raises(EdgecompError, match="no pass 'quantise'; did you mean quantize"):
        parse_pass("quantise:samples=3")


@pytest.mark.parametrize("value", [math.nan, math.inf, "99", True, None])
def test_values_given_in_python_are_checked_too(value: object) -> None:
    with pytest.raises(EdgecompError, match="percentile cannot be"):
        Quantize(percentile=value)  # type: ignore[arg-type]


def test_the_table_names_each_pass_as_it_names_itself() -> None:
    assert all(cls.name == name for name, cls in PASSES.items())
    for description in describe():
        assert description.summary
        assert all(each.help for each in description.options)


def test_the_estimators_offered_are_those_there_are() -> None:
    offered = next(o for d in describe() for o in d.options if o.name == "estimator")
    assert set(offered.choices) == set(ESTIMATORS)


@dataclass(frozen=True)
class Everything(Pass):
    """A pass with an option of every kind."""

    name: ClassVar[str] = "everything"
    summary: ClassVar[str] = "nothing"

    ratio: float = option(0.5, "a share", 0, 1)
    kind: Literal["a", "b"] = option("a", "a choice")
    places: tuple[int, ...] = option((1, 2), "whole numbers", 0)
    text: str = option("", "text")

    def apply(self, model, data, progress=None):  # type: ignore[no-untyped-def]
        """The model as it is."""
        return model


@given(
    st.builds(
        Everything,
        ratio=st.floats(0, 1),
        kind=st.sampled_from(["a", "b"]),
        places=st.lists(st.integers(0), max_size=4).map(tuple),
        text=st.text(),
    )
)
def test_options_of_every_type_come_back(original: Everything) -> None:
    options = str(original).partition(":")[2]
    assert Everything.parse(options) == original
