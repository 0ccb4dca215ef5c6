"""What cannot be imported is refused in sentences; nothing outside the model's folder is read."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgecomp.errors import EdgecompError
from edgecomp.importers import load


def refusal(path, **options):
    """The sentences with which `path` is refused."""
    with pytest.raises(EdgecompError) as caught:
        load(path, **options)
    return str(caught.value)


def model_with(tensor, path):
    """A model of one Add whose second operand is `tensor`."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"], name="add")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [tensor],
    )
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(proto.SerializeToString())
    return path


def external(location, **place):
    """Float weights [4] kept in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **place}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


@pytest.mark.parametrize("size", [10, 1000, 150_000, -1])
def test_truncated_file(shared, tmp_path, size):
    path = tmp_path / "model.onnx"
    path.write_bytes((shared / "models" / "resnet8.onnx").read_bytes()[:size])
    assert "truncated" in refusal(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"just some text\n", "a text file"),
        ("völlig anderer Text\n".encode() * 100, "a text file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x1c\0\0\0TFL3rest", "TFLite"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\0" * 100, "no ONNX model"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "no ONNX graph"),
    ],
)
def test_other_files_renamed(tmp_path, content, what):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    sentence = refusal(path)
    assert what in sentence
    assert str(path) in sentence


def test_paths_that_are_no_model_files(tmp_path):
    assert "no such file" in refusal(tmp_path / "missing.onnx")
    assert "folder" in refusal(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"x")
    assert "the suffix '.bin' is unknown" in refusal(tmp_path / "model.bin")
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "no regular file" in refusal(tmp_path / "pipe.onnx")


@pytest.mark.parametrize("place", [-3, 0])
def test_bytes_changed_anywhere_never_crash(shared, tmp_path, place):
    content = bytearray((shared / "models" / "resnet8_jpeg_unfolded.onnx").read_bytes())
    random = np.random.default_rng(place + 10)
    path = tmp_path / "model.onnx"
    for _ in range(100):
        damaged = content.copy()
        # the structure is mostly in the first and last bytes, the weights between
        start = 0 if place == 0 else len(damaged) - 6000
        for index in random.integers(start, start + 6000, size=3):
            damaged[index] = random.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(EdgecompError):
            load(path)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("{ a = Add(x, b) b = Relu(a) y = Relu(b) }", "Add_a", "cycle"),
        ("{ y = Add(x, nothing) }", "Add_y", "nothing makes its input nothing"),
        ("{ y = Relu(x) y = Abs(x) }", "Abs_y", "made twice"),
        ("{ z = Relu(x) }", "y", "nothing makes this output"),
        ("{ [mine] y = Foo(x) }", "mine", "operator Foo is unknown"),
        ("{ [mine] y = Concat(x, x) }", "mine", "attribute"),
        ("{ w = Constant<value=float[3]{1,2,3}>() [mine] y = MatMul(x, w) }", "mine", "dimension"),
        ("{ [mine] n = NonZero(x) y = Cast<to=1>(n) }", "mine", "not known at compile time"),
        ("{ t = Transpose(x) [mine] m = Expand(x, s) y = Relu(m) }", "mine", "more than"),
    ],
)  # fmt: skip
def test_broken_graphs_name_the_node(save, text, where, what):
    sentence = refusal(
        save(f"g (float[1,4] x) => (float[a,b] y) {text}", s=np.array([2**20, 2**40, 4]))
    )
    assert where in sentence
    assert what in sentence
    assert "Traceback" not in sentence


def test_all_reasons_come_at_once(save):
    sentence = refusal(
        save("g (float[1,4] x) => (float[a] y) { a = Foo(x) b = Bar(a) y = Add(b, c) }")
    )
    for part in ("Foo", "Bar", "nothing makes its input c"):
        assert part in sentence
    sentence = refusal(
        save(
            "g (float[1,4] x) => (float[a] y) { w = Constant<value=float[3]{1,2,3}>()"
            "[one] a = MatMul(x, w) [two] b = MatMul(x, w) y = Add(a, b) }"
        )
    )
    assert "one" in sentence
    assert "two" in sentence


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("n = Constant<value=int64[1]{1099511627776}>() c = ConstantOfShape(n)", "OfShape_c"),
        ("n = Constant<value=int64[1]{1099511627776}>() o = Constant<value=float[1]{1}>() "
         "c = Tile(o, n)", "Tile_c"),
        ("a = Constant<value=int64{0}>() b = Constant<value=int64{9999999999}>() "
         "d = Constant<value=int64{1}>() r = Range(a, b, d) c = Cast<to=1>(r)", "Range_r"),
    ],
)  # fmt: skip
def test_small_files_that_want_huge_tensors(save, body, what):
    assert what in refusal(save(f"g (float[1] x) => (float[n] y) {{ {body} y = Mul(c, x) }}"))


def test_huge_input(save):
    sentence = refusal(save(f"g (float[1,{2**40}] x) => (float[a,b] y) {{ y = Relu(x) }}"))
    assert "elements" in sentence
    assert "--shape x=" in sentence


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (TensorProto(name="w", data_type=1, dims=[2**40], raw_data=b"1234"), "needs"),
        (
            TensorProto(name="w", data_type=1, dims=[4], raw_data=b"1234"),
            "needs 16 bytes but has 4",
        ),
        (TensorProto(name="w", data_type=1, dims=[-4], raw_data=b"1234"), "[-4]"),
        (
            TensorProto(name="w", data_type=1, dims=[4], float_data=[1.0]),
            "needs 4 values but has 1",
        ),
        (TensorProto(name="w", data_type=99, dims=[1], raw_data=b"1234"), "unknown type 99"),
        (TensorProto(name="w", data_type=8, dims=[1], string_data=[b"a"]), "strings"),
    ],
)
def test_tensors_with_impossible_content(tmp_path, tensor, what):
    sentence = refusal(model_with(tensor, tmp_path / "model.onnx"))
    assert sentence.startswith("w: ")
    assert what in sentence


def test_string_tensors(save):
    assert "x: the input holds strings" in refusal(
        save("g (string[1] x) => (string[1] y) { y = Identity(x) }")
    )
    assert "Cast_y: output y holds strings" in refusal(
        save("g (int64[1] x) => (string[1] y) { y = Cast<to=8>(x) }")
    )


@pytest.mark.parametrize(
    "location",
    ["../secret.bin", "/etc/hostname", "link.bin", "", ".", "a\0b", "sub/../../secret.bin"],
)
def test_weights_outside_the_folder_are_not_read(tmp_path, location):
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    sentence = refusal(model_with(external(location), folder / "model.onnx"))
    assert "outside the model's folder" in sentence


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ({"offset": 8}, "needs 16 bytes"),
        ({"offset": 20, "length": 16}, "beyond the end"),
        ({"offset": -1}, "beyond the end"),
        ({"length": "many"}, "no number"),
    ],
)
def test_weights_beside_the_model_with_a_wrong_place(tmp_path, place, what):
    (tmp_path / "w.bin").write_bytes(bytes(32))
    assert what in refusal(model_with(external("w.bin", **place), tmp_path / "model.onnx"))


def test_missing_weights(tmp_path):
    assert "is missing" in refusal(model_with(external("w.bin"), tmp_path / "model.onnx"))


def nested(depth):
    """An If in an If ... `depth` times."""
    branch = "Relu(x)"
    for level in range(depth):
        branch = (
            f"If(c)<then_branch = t{level} () => (float[4] o{level}) {{ o{level} = {branch} }}, "
            f"else_branch = e{level} () => (float[4] p{level}) {{ p{level} = Neg(x) }}>"
        )
    return f"g (float[4] x, bool c) => (float[4] y) {{ y = {branch} }}"


def test_deeply_nested_graphs(save):
    assert len(load(save(nested(12))).graph.graph) == 1
    inlined = load(save(nested(12)), bindings={"c": True})
    assert [node.op_type for node in inlined.graph.graph] == ["Relu"]


def test_graphs_nested_beyond_what_protobuf_reads(tmp_path):
    # length-delimited fields graph(7) > node(1) > attribute(5) > g(6), without end
    content = b""
    for _ in range(300):
        for field in (6, 5, 1):
            content = bytes([field << 3 | 2]) + _varint(len(content)) + content
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes([7 << 3 | 2]) + _varint(len(content)) + content)
    assert "no ONNX model" in refusal(path)


def _varint(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def test_output_that_is_an_input(save):
    assert "x: the output is an input itself" in refusal(
        save("g (float[4] x) => (float[4] x, float[4] y) { y = Relu(x) }")
    )
