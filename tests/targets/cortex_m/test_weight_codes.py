"""Weights in fewer bytes: what the C makes of them is what they were."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecomp.lowering.emit_c import SUPPORT_FOLDER
from edgecomp.toolchain import zig
from edgecomp_targets.cortex_m.headers import headers
from edgecomp_targets.cortex_m.weight_codes import PALETTE_BITS, Coded, smallest
from edgecomp_targets.cortex_m.weight_order import UNIT, WeightOrder

Array = npt.NDArray[Any]
Unpack = Callable[[Coded, int], Array]

orders = st.builds(
    WeightOrder,
    parts=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=3).map(
        tuple
    ),
    lanes=st.integers(1, 4),
    run=st.integers(1, 3),
    pairs=st.just(False),
    zero=st.sampled_from([0, -128]),
) | st.builds(
    WeightOrder,
    parts=st.integers(1, 20).map(lambda groups: ((0, groups),)),
    lanes=st.integers(1, 2),
    run=st.integers(1, 5),
    pairs=st.just(True),
)

FUNCTIONS = [
    *(f"ec_unpack_{kind}_{bits}" for kind in ("bytes", "pairs") for bits in PALETTE_BITS),
    *(f"ec_unpack_sparse_{kind}" for kind in ("bytes", "pairs")),
]


@pytest.fixture(scope="session")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Unpack:
    """`unpack(coded, size)`: the bytes the portable C makes, every undefined step a trap."""
    folder = tmp_path_factory.mktemp("unpack")
    for path in SUPPORT_FOLDER.glob("*.h"):
        (folder / path.name).write_text(path.read_text())
    for name, text in headers(["edgecomp_unpack.h"]).items():
        (folder / name).write_text(text)
    wrappers = [
        f"void call_{name}(const void *a, const void *b, const void *c, void *out) "
        f"{{ {name}({', '.join(('(const void *)a', 'b', 'c', 'out'))}); }}"
        for name in FUNCTIONS
    ]
    (folder / "all.c").write_text('#include "edgecomp_unpack.h"\n' + "\n".join(wrappers) + "\n")
    strict = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsanitize=undefined")
    options = ("-std=c99", "-O1", "-fPIC", "-shared", "-fsanitize-trap=undefined", *strict)
    zig(["cc", *options, "all.c", "-o", "all.so"], folder)
    library = ctypes.CDLL(str(folder / "all.so"))

    def run(coded: Coded, size: int) -> Array:
        out = np.full(size + 16, 99, np.uint8)
        arrays = [np.ascontiguousarray(array) for array in coded.arrays.values()]
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out)]
        library[f"call_{coded.function}"](*pointers)
        assert np.all(out[size:] == 99), "nothing is written behind the weights"
        return out[:size]

    return run


def _constant(order: WeightOrder, rng: np.random.Generator, values: int, zeros: float) -> Array:
    """Filters of so many values, most of them zero where `zeros` says so, with words between."""
    blocks = int(rng.integers(1, 5))
    flat: list[Array] = []
    for _ in range(blocks):
        tables = rng.integers(-128, 128, (order.lanes, 2, values))
        for words, groups in order.parts:
            flat.append(rng.integers(-128, 128, 4 * words))
            for _ in range(groups):
                flat += [_run(order, rng, table, zeros) for table in tables]
    content = np.concatenate(flat)
    if order.pairs:
        halves = content[1::2] * 256 + content[0::2]
        return (halves & 0xFFFF).astype(np.uint16).view(np.int32)
    return content.astype(np.int8).view(np.int32)


def _run(order: WeightOrder, rng: np.random.Generator, table: Array, zeros: float) -> Array:
    turns = np.arange(order.run * UNIT) % 2 if order.pairs else np.zeros(order.run * UNIT, int)
    weights = table[turns, rng.integers(0, table.shape[1], len(turns))]
    return np.where(rng.random(len(turns)) < zeros, order.zero, weights)


@settings(max_examples=150, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
@given(
    order=orders,
    seed=st.integers(0, 2**32 - 1),
    values=st.sampled_from([1, 2, 4, 8, 16, 32, 60]),
    zeros=st.sampled_from([0.0, 0.0, 0.5, 0.9, 1.0]),
)
def test_what_is_unpacked_is_what_was_coded(
    unpack: Unpack, order: WeightOrder, seed: int, values: int, zeros: float
) -> None:
    constant = _constant(order, np.random.default_rng(seed), values, zeros)
    coded = smallest(constant, order)
    if coded is not None:
        assert coded.bytes < constant.nbytes
        np.testing.assert_array_equal(unpack(coded, constant.nbytes), constant.view(np.uint8))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("bits", PALETTE_BITS)
def test_every_width_of_an_index_is_used(unpack: Unpack, bits: int, pairs: bool) -> None:
    order = WeightOrder(((0, 1),), run=100, pairs=pairs)
    table = np.random.default_rng(bits).permutation(np.arange(-128, 128))[: 1 << bits]
    content = np.concatenate([table, np.random.default_rng(0).choice(table, 800 - len(table))])
    constant = content.astype(np.int8).view(np.int32)
    if pairs:
        constant = (content[1::2] * 256 + content[0::2] & 0xFFFF).astype(np.uint16).view(np.int32)
    coded = smallest(constant, order)
    assert coded is not None
    assert coded.function == f"ec_unpack_{'pairs' if pairs else 'bytes'}_{bits}"
    assert coded.words == f"palette of {1 << bits} values"
    np.testing.assert_array_equal(unpack(coded, 800), constant.view(np.uint8))


def test_few_weights_are_stored_by_their_places(unpack: Unpack) -> None:
    content = np.zeros(800, np.int8)
    content[::40] = np.arange(-10, 10) | 1
    coded = smallest(content.view(np.int32), WeightOrder(((0, 1),), run=100))
    assert coded is not None
    assert (coded.function, coded.words) == ("ec_unpack_sparse_bytes", "sparse, 2 % of the weights")
    np.testing.assert_array_equal(unpack(coded, 800).view(np.int8), content)


def test_weights_of_many_values_stay_plain() -> None:
    constant = np.random.default_rng(0).integers(-128, 128, 4096).astype(np.int8).view(np.int32)
    assert smallest(constant, WeightOrder(((0, 1),), run=512)) is None
