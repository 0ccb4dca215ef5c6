"""One spec for several strengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecomp.passes import PASSES, parse_pass
from edgecomp.passes.prune import Prune
from edgecomp.passes.spread import spread


@pytest.mark.parametrize(
    ("spec", "specs"),
    [
        ("prune:sparsity=0.1/0.3", ("prune:sparsity=0.1", "prune:sparsity=0.3")),
        ("prune", ("prune",)),
        ("prune:protect=/3/Conv+a", ("prune:protect=/3/Conv+a",)),
        (
            "cluster:bits=2/3,lr=1e-3/1e-4,per=channel",
            (
                "cluster:bits=2,lr=1e-3,per=channel",
                "cluster:bits=2,lr=1e-4,per=channel",
                "cluster:bits=3,lr=1e-3,per=channel",
                "cluster:bits=3,lr=1e-4,per=channel",
            ),
        ),
        ("cluster:protect=a\\,b/1,bits=4", ("cluster:protect=a\\,b/1,bits=4",)),
    ],
)
def test_each_number(spec: str, specs: tuple[str, ...]) -> None:
    assert spread(spec) == specs


@pytest.mark.parametrize("name", PASSES)
def test_a_spec_without_several_is_itself(name: str) -> None:
    whole = str(parse_pass(name))
    assert spread(whole) == (whole,)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=5))
def test_every_strength_is_parsed_as_given(shares: list[float]) -> None:
    specs = spread("prune:sparsity=" + "/".join(map(repr, shares)))
    assert [str(parse_pass(spec)) for spec in specs] == [
        str(Prune(sparsity=share)) for share in shares
    ]
