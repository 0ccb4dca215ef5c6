import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecomp.lowering.c_names import c_name, unique_names
from edgecomp.lowering.emit_c import CSource, emit_c
from edgecomp.lowering.kernels.elementwise import lookup
from edgecomp.program import Call, Kernel, Program, Tensor
from edgecomp_runtime.manifest import TensorSpec

IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)


@given(st.lists(st.text(), unique=True))
def test_names_become_different_identifiers(names: list[str]) -> None:
    chosen = unique_names(names)
    assert all(IDENTIFIER.match(name) for name in chosen.values())
    assert len({name.lower() for name in chosen.values()}) == len(names)


@pytest.mark.parametrize("word", ["int", "default", "class", "new"])
def test_keywords_are_not_names(word: str) -> None:
    assert c_name(word) == f"n{word}"


def _program(calls: int, names: tuple[str, str] = ("x", "y")) -> Program:
    """A chain of lookups with tables 0, 1, 0, 1 ..."""
    first, last = names
    tensors = [first, *(f"t{i}" for i in range(1, calls)), last]
    table = np.arange(-128, 128).astype(np.int8)
    kernels = {
        f"lookup_{i}": Kernel(f"lookup_{i}", "elementwise", lookup((8,))) for i in range(calls)
    }
    return Program(
        name="chain */ of tables",
        symbol="chain",
        inputs=(TensorSpec(first, (8,), "int8", 0.5, 3),),
        outputs=(TensorSpec(last, (8,), "int8", 0.25, -4),),
        tensors={name: Tensor(name, (8,), "int8") for name in tensors},
        constants={f"c{i}": table[:: 1 if i % 2 == 0 else -1].copy() for i in range(calls)},
        kernels=kernels,
        calls=tuple(
            Call(
                f"lookup_{i}",
                (tensors[i], f"c{i}", tensors[i + 1]),
                f"node{i}",
                "Tanh",
                "integer",
                0,
            )
            for i in range(calls)
        ),
    )


@pytest.fixture(scope="module")
def source() -> CSource:
    return emit_c(_program(5))


def test_equal_kernels_and_constants_are_stored_once(source: CSource) -> None:
    assert source.functions == ("lookup_0",) * 5
    assert source.files["chain.c"].count("EC_KERNEL void") == 1
    assert source.weights_bytes == 2 * 256
    assert source.files["chain_weights.c"].count("EC_WEIGHTS const") == 2


def test_buffers_of_a_chain_take_turns(source: CSource) -> None:
    assert source.plan.arena_bytes == 2 * 16


def test_the_header_says_what_a_caller_needs(source: CSource) -> None:
    header = source.files["chain.h"]
    assert "#define chain_ARENA_BYTES 32\n" in header
    assert "#define chain_INPUT_0_SCALE 0.5f\n" in header
    assert "#define chain_INPUT_0_ELEMENTS 8\n" in header
    assert "#define chain_OUTPUT_0_ZERO_POINT (-4)\n" in header
    assert "const int8_t *x;" in header


def test_names_of_the_users_file_cannot_end_a_comment(source: CSource) -> None:
    for name in ("chain.h", "chain.c"):
        assert "chain * / of tables" in source.files[name]
    hostile = emit_c(_program(1, ("x */\nint evil;", "y")))
    assert "int evil;" not in [line.strip() for line in hostile.files["chain.h"].splitlines()]
    assert "x * /?int evil;" in hostile.files["chain.h"]
