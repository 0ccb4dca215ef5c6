"""Programs take turns; ratios are of turns, with an interval that covers their median."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from edgecomp_runtime import Session
from edgecomp_runtime.compare import exact_ratio, in_turn, measured_ratio
from edgecomp_runtime.measure import bench_in_turn


def test_programs_take_turns_and_warm_up_first():
    clock = count()
    order = []

    def timer(name):
        def run(turn):
            order.append((name, turn))
            return float(next(clock))

        return run

    steps = []
    told = lambda done, total: steps.append((done, total))  # noqa: E731
    seconds = in_turn([timer("a"), timer("b")], repeat=2, warmup=1, progress=told)
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert seconds == [[2.0, 4.0], [3.0, 5.0]]
    assert steps == [(done, 6) for done in range(1, 7)]


def test_a_ratio_is_that_of_turns_and_not_of_the_drift_between_them():
    drift = np.linspace(1, 9, 40)
    ratio = measured_ratio(2 * drift, drift)
    assert ratio.kind == "measured"
    assert (ratio.low, ratio.median, ratio.high) == (2, 2, 2)
    assert (ratio.least, ratio.most) == (2, 2)


def test_the_interval_holds_the_median_and_one_outlier_does_not_move_it():
    generator = np.random.default_rng(1)
    seconds = generator.normal(3, 0.1, 99)
    seconds[7] = 300
    ratio = measured_ratio(seconds, np.ones(99))
    assert 2.9 < ratio.low <= ratio.median <= ratio.high < 3.1
    assert ratio.most == 300
    assert ratio.to_json() == measured_ratio(seconds, np.ones(99)).to_json()


def test_counts_have_no_spread():
    ratio = exact_ratio(300, 200)
    assert (ratio.kind, ratio.low, ratio.median, ratio.high) == ("exact", 1.5, 1.5, 1.5)


def test_programs_and_rivals_are_measured_together(single_path):
    turns = []

    def rival(turn):
        turns.append(turn)
        return 1.0

    with Session(single_path) as first, Session(single_path) as second:
        found = bench_in_turn([first, second], [None, None], repeat=4, warmup=2, rivals=[rival])
    assert [len(measurement.samples_s) for measurement in found] == [4, 4]
    assert turns == [0, 1, 2, 3, 4, 5]
    assert found[0].percentile_s(50) == pytest.approx(np.median(found[0].samples_s))
