"""Huffman codes, and artifacts that hold constants once: what comes out is what went in."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecomp_runtime import ArtifactError, open_artifact
from edgecomp_runtime.artifact import plain_bytes, write_artifact
from edgecomp_runtime.c_text import integer_text
from edgecomp_runtime.constants_once import CODES, PLACES, cut, restored
from edgecomp_runtime.huffman import BLOCK, LONGEST, decode, encode

contents = st.binary(max_size=200) | st.builds(
    lambda seed, values, count: (
        np.random.default_rng(seed).geometric(1 / values, count).astype(np.uint8).tobytes()
    ),
    st.integers(0, 99),
    st.integers(1, 60),
    st.sampled_from([1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7]),
)


@given(contents, st.binary(max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_is_decoded_is_what_was_coded(content: bytes, behind: bytes) -> None:
    coded = encode(content)
    assert decode(coded + behind) == (content, len(coded))


def test_codes_that_would_be_too_long_are_shortened() -> None:
    counts = [1, 1]
    while len(counts) < LONGEST + 8:
        counts.append(counts[-1] + counts[-2])
    content = b"".join(bytes([i]) * count for i, count in enumerate(counts))
    assert decode(encode(content))[0] == content


def test_few_values_take_few_bits() -> None:
    content = np.random.default_rng(0).integers(0, 4, 8192).astype(np.uint8).tobytes()
    assert 8192 // 4 <= len(encode(content)) < 8192 // 4 + 200


@pytest.mark.parametrize("kept", [0, 3, 100, 131, 140, -1])
def test_codes_that_end_too_early_are_told(kept: int) -> None:
    with pytest.raises(ValueError, match="too early"):
        decode(encode(bytes(range(250)) * 20)[:kept])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_constants_come_back_wherever_they_were(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dtypes = rng.choice(["int8", "uint8", "int32", "float32", "uint16"], 4)
    arrays = [rng.integers(0, 3, rng.integers(1, 200)).astype(dtype) for dtype in dtypes]
    files = {}
    for name in ("a", "b", "c"):
        parts = [array.tobytes() for array in arrays]
        parts += [integer_text(a).encode() for a in arrays if a.dtype.kind in "iu"]
        parts += [rng.bytes(int(rng.integers(0, 30))) for _ in range(3)]
        files[name] = b"".join(parts[i] for i in rng.permutation(len(parts)))
    assert restored(cut(files, arrays)) == files


WEIGHTS = np.random.default_rng(1).integers(-4, 4, 20_000).astype(np.int8)


@pytest.fixture
def coded_path(single, tmp_path):
    library = single.library + WEIGHTS.tobytes()
    text = f"const int8_t weights[20000] = {{\n{integer_text(WEIGHTS)}\n}};".encode()
    files = {single.manifest.program: library, "src/weights.c": text}
    write_artifact(tmp_path / "coded.edge", single.manifest, files, [WEIGHTS])
    write_artifact(tmp_path / "plain.edge", single.manifest, files)
    return tmp_path / "coded.edge"


def test_a_coded_artifact_is_the_plain_one_in_fewer_bytes(coded_path) -> None:
    coded, plain = open_artifact(coded_path), open_artifact(coded_path.with_name("plain.edge"))
    assert (coded.files, coded.manifest) == (plain.files, plain.manifest)
    assert (coded.huffman, plain.huffman) == (True, False)
    assert plain_bytes(coded) == plain.path.stat().st_size
    assert coded_path.stat().st_size < plain_bytes(coded) * 2 / 3


def test_an_older_reader_is_told_the_version(coded_path) -> None:
    with zipfile.ZipFile(coded_path) as archive:
        assert json.loads(archive.read("manifest.json"))["format_version"] == 2


@settings(
    max_examples=25, deadline=None, suppress_health_check=(HealthCheck.function_scoped_fixture,)
)
@given(st.sampled_from([CODES, PLACES]), st.floats(0, 0.999), st.integers(0, 7))
def test_damage_never_goes_unnoticed(coded_path, member: str, position: float, bit: int) -> None:
    """The zip's own checksums are those of the damaged members."""
    with zipfile.ZipFile(coded_path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = bytearray(members[member])
    content[int(position * len(content))] ^= 1 << bit
    damaged = coded_path.with_name("damaged.edge")
    with zipfile.ZipFile(damaged, "w") as archive:
        for name, old in members.items():
            archive.writestr(name, bytes(content) if name == member else old)
    try:
        artifact = open_artifact(damaged)
    except ArtifactError:
        return
    wanted = open_artifact(coded_path)
    assert artifact.files == wanted.files
    assert replace(artifact.manifest, files={}) == replace(wanted.manifest, files={})
