"""Hostile files end with a sentence and exit code 1, within 5 s and 1 GiB, and read nothing else.

What each sentence says is tested in test_bad_input.py and test_tflite_bad_input.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import onnx
import pytest
from fuzzing.judge import Judge
from onnx import TensorProto, helper

from edgecomp.cli import main

HEADER = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>'
TYPES = "(float[4] x) => (float[4] y)"


def text(body: str, functions: str = "") -> bytes:
    """A model in ONNX's text form."""
    proto = onnx.parser.parse_model(f"{HEADER} g {TYPES} {{ {body} }} {functions}")
    return bytes(proto.SerializeToString())


def with_tensor(tensor: TensorProto) -> bytes:
    """A model that adds `tensor`, which is called w."""
    proto = onnx.parser.parse_model(f"{HEADER} g {TYPES} {{ y = Add(x, w) }}")
    proto.graph.initializer.append(tensor)
    return bytes(proto.SerializeToString())


def external(location: str) -> bytes:
    """A model whose weights are said to lie elsewhere."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return with_tensor(tensor)


def dims(*sizes: int) -> bytes:
    """A model with a tensor of an impossible shape."""
    return with_tensor(TensorProto(name="w", data_type=1, dims=sizes, raw_data=bytes(16)))


def nested(levels: int) -> bytes:
    """Subgraphs in subgraphs, as bytes: fields graph(7) > node(1) > attribute(5) > graph(6)."""
    content = b""
    for _ in range(levels):
        for field in (6, 5, 1):
            content = bytes([field << 3 | 2]) + varint(len(content)) + content
    return bytes([7 << 3 | 2]) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def doubling(levels: int) -> str:
    """Functions that each call the one before twice."""
    functions = '<domain: "mine", opset_import: ["" : 17]> f0 (a) => (b) { b = Neg(a) }'
    for level in range(1, levels):
        functions += (
            f'<domain: "mine", opset_import: ["" : 17, "mine" : 1]> f{level} (a) => (b) '
            f"{{ c = mine.f{level - 1}(a) b = mine.f{level - 1}(c) }}"
        )
    return functions


def huge(operator: str) -> bytes:
    """A model that computes a huge tensor from constants."""
    size = f"n = Constant<value=int64[1]{{{2**40}}}>() o = Constant<value=float[1]{{1}}>()"
    return text(f"{size} h = {operator} s = ReduceSum<keepdims=0>(h) y = Add(x, s)")


def strings() -> bytes:
    """A model that keeps texts."""
    return with_tensor(helper.make_tensor("w", TensorProto.STRING, [4], [b"a", b"b", b"c", b"d"]))


FILES: Mapping[str, Callable[[], bytes]] = {
    "wrong magic.onnx": lambda: b"\x89HDF\r\n\x1a\n" + bytes(64),
    "zeros.onnx": lambda: bytes(4096),
    "cyclic.onnx": lambda: text("a = Add(x, b) b = Relu(a) y = Relu(b)"),
    "cyclic functions.onnx": lambda: text(
        "y = mine.f(x)",
        '<domain: "mine", opset_import: ["mine" : 1]> f (a) => (b) { b = mine.f(a) }',
    ),
    "doubling functions.onnx": lambda: text("y = mine.f40(x)", doubling(41)),
    "negative dims.onnx": lambda: dims(-4),
    "2^40 dims.onnx": lambda: dims(2**40),
    "2^62 elements.onnx": lambda: dims(2**31, 2**31),
    "2^40 filled.onnx": lambda: huge("ConstantOfShape(n)"),
    "2^40 tiles.onnx": lambda: huge("Tile(o, n)"),
    "2^40 expanded.onnx": lambda: huge("Expand(o, n)"),
    "2^30 resized.onnx": lambda: text(
        f"n = Constant<value=int64[1]{{{2**30}}}>() r = Resize(x, , , n) y = ReduceSum(r)"
    ),
    "parent.onnx": lambda: external("../secret.bin"),
    "absolute.onnx": lambda: external("/etc/passwd"),
    "symlink.onnx": lambda: external("link.bin"),
    "strings.onnx": strings,
    "nested 1000 deep.onnx": lambda: nested(1000),
    "wrong magic.tflite": lambda: b"\x1c\0\0\0TFL4" + bytes(64),
    "offsets outside.tflite": lambda: b"\xff\xff\xff\x7fTFL3" + bytes(64),
    "negative offset.tflite": lambda: b"\x08\0\0\0TFL3" + b"\xff" * 64,
    "own vtable.tflite": lambda: b"\x08\0\0\0TFL3" + bytes(64),
    "no archive.pt2": lambda: b"PK\x03\x04" + bytes(64),
    "pickle.pt": lambda: b"\x80\x02.",
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """A process with limits that imports what it is given."""
    with Judge() as process:
        yield process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of models beside a file that is none of their business."""
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    place = tmp_path / "models"
    place.mkdir()
    (place / "link.bin").symlink_to(tmp_path / "secret.bin")
    return place


def check(path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is refused within the limits, and so it is on the command line."""
    verdict = judge(path)
    assert verdict.outcome == "refused", f"{verdict.outcome}: {verdict.detail}"
    assert main(["inspect", str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("edgecomp: ")
    assert "Traceback" not in printed.err
    assert "Error:" not in printed.err


@pytest.mark.parametrize("name", FILES)
def test_hostile_files(
    name: str, folder: Path, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / name
    path.write_bytes(FILES[name]())
    check(path, judge, capsys)


@pytest.mark.parametrize("name", ["mnist_cnn.onnx", "kws_ref_model.tflite"])
def test_truncated_files(
    name: str, shared: Path, folder: Path, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (shared / "models" / name).read_bytes()
    path = folder / name
    for length in (9, 1000, len(content) // 2, len(content) - 100):
        path.write_bytes(content[:length])
        check(path, judge, capsys)


def test_the_command_as_a_process(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(FILES["cyclic.onnx"]())
    answer = subprocess.run(
        [sys.executable, "-m", "edgecomp", "inspect", "--json", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("edgecomp: ")


@pytest.mark.parametrize(
    ("importer", "outcome"),
    [
        ("read_outside", "read outside"),
        ("allocate", "raised"),
        ("loop", "more than 1 s"),
        ("crash", "crashed (SIGSEGV)"),
    ],
)
def test_the_judge_notices(importer: str, outcome: str, folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(b"")
    with Judge(f"fuzzing.broken:{importer}", seconds=1) as judge:
        assert judge(path).outcome == outcome
