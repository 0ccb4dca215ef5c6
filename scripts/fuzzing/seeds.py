"""Small sound models to damage: between them, what the importers know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.parser
from onnx import numpy_helper

_OLD = '<ir_version: 4, opset_import: ["" : 9]>'
_NEW = '<ir_version: 8, opset_import: ["" : 17]>'
_NEWEST = '<ir_version: 10, opset_import: ["" : 23]>'
_OWN = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>'

ONNX_TEXTS: Mapping[str, str] = {
    "old": _OLD + """g (float[batch,3,8,8] x) => (float[batch,k] y) {
        [first] a = Conv<pads=[1,1,1,1]>(x, w) [norm] b = BatchNormalization(a, s, s, s, s)
        c = Relu(b) d = MaxPool<kernel_shape=[2,2], strides=[2,2]>(c) sh = Shape(d)
        zz = Constant<value=int64{0}>() g = Gather(sh, zz) u = Unsqueeze<axes=[0]>(g)
        m = Constant<value=int64[1]{-1}>() cc = Concat<axis=0>(u, m) f = Reshape(d, cc)
        y = Softmax<axis=1>(f) }""",
    "quantized": _NEW + """g (float[batch,3,8,8] x, bool c) => (float[batch,k,l,m] y) {
        a = Conv<auto_pad="SAME_UPPER">(x, w) p = Pad(a, pp) e = Conv(p, w2)
        q = QuantizeLinear(e, sc, zp) dq = DequantizeLinear(q, sc, zp)
        y = If(c)<then_branch = t () => (float[a,b,c,d] r) { r = Relu(dq) },
                  else_branch = t2 () => (float[a,b,c,d] r2) { r2 = Neg(dq) }> }""",
    "newest": _NEWEST + """g (float[batch,3,8,8] x) => (float[batch,k,l,m] y) {
        a = GlobalMaxPool(x) b = RMSNormalization(x, rw) y = Add(a, b) }""",
    "recurrent": _NEW + """g (float[5,1,4] x) => (float[a,b,c,d] y) {
        [cell] y, h, c = LSTM<hidden_size=3>(x, lw, lr, lb) }""",
    "loop": _NEW + """g (float[1,4] x) => (float[1,4] y) {
        n = Constant<value=int64{3}>() t = Constant<value=bool{1}>()
        l = Loop(n, t, x)<body = b (int64 i, bool go, float[1,4] v) => (bool on, float[1,4] w) {
            on = Identity(go) w = Add(v, v) }> z = Mul(l, l) y = Add(x, x) }""",
    "function": _OWN + """g (float[1,4] x) => (float[1,4] y) { [call] y = mine.twice(x) }
        <domain: "mine", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }""",
    "shapes": _NEW + """g (float[1,6,4] x) => (float[a,b] y) {
        one = Constant<value=int64[1]{1}>() two = Constant<value=int64[2]{2,3}>()
        t = Transpose<perm=[0,2,1]>(x) l, r = Split<axis=2>(t, two3) e = Expand(one1, two)
        z = ConstantOfShape(two) sl = Slice(t, one, two1, one) q = Squeeze(sl)
        g = Gather<axis=0>(q, one) i = Resize<mode="nearest">(x, , , sizes) f = Flatten(i)
        o = Range(r0, r1, r2) wh = Where(k, one1, one1) v = Tile(wh, one)
        y = Identity(f) }""",
    "integer": _NEW + """g (uint8[1,3,8,8] x, float[2,4] z) => (uint8[a,b,c,d] y, float[a,b] o) {
        [conv] y = QLinearConv<pads=[1,1,1,1]>(x, sc, zu, qw, sc4, zp4, sc, zu)
        d, ds, dz = DynamicQuantizeLinear(z) [mm] i = MatMulInteger(d, qm, dz)
        f = Cast<to=1>(i) o = Mul(f, ds) }""",
    "attention": _NEW + """g (float[1,4,8] x) => (float[a,b,c] y) {
        n = LayerNormalization(x, rw, rw) q = MatMul(n, aw) kk = MatMul(n, aw)
        kt = Transpose<perm=[0,2,1]>(kk) s1 = MatMul(q, kt) p = Softmax<axis=-1>(s1)
        v = MatMul(p, q) e = Erf(v) y = Add(e, x) }""",
    "upsampling": _NEW + """g (float[1,3,8,8] x) => (float[a,b,c,d] y) {
        t = ConvTranspose<strides=[2,2]>(x, wt) h = HardSwish(t)
        r = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(h, , scales)
        g1, g2 = Split<axis=1>(r) w1 = Where(k, g1, g2) a = GlobalAveragePool(w1)
        y = DepthToSpace<blocksize=1>(a) }""",
}  # fmt: skip

CONSTANTS: Mapping[str, npt.NDArray[Any]] = {
    "w": np.ones((4, 3, 3, 3), np.float32),
    "s": np.ones(4, np.float32),
    "pp": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "w2": np.ones((4, 4, 3, 3), np.float32),
    "sc": np.array(0.5, np.float32),
    "zp": np.array(1, np.int8),
    "rw": np.ones(8, np.float32),
    "lw": np.ones((1, 12, 4), np.float32),
    "lr": np.ones((1, 12, 3), np.float32),
    "lb": np.ones((1, 24), np.float32),
    "two3": np.array([2, 4]),
    "two1": np.array([2]),
    "one1": np.ones(1, np.float32),
    "sizes": np.array([1, 12, 8]),
    "r0": np.array(0),
    "r1": np.array(9),
    "r2": np.array(2),
    "k": np.array([True]),
    "zu": np.array(3, np.uint8),
    "qw": np.ones((4, 3, 3, 3), np.int8),
    "sc4": np.full(4, 0.25, np.float32),
    "zp4": np.zeros(4, np.int8),
    "qm": np.ones((4, 5), np.int8),
    "aw": np.ones((8, 8), np.float32),
    "wt": np.ones((3, 4, 2, 2), np.float32),
    "scales": np.array([1, 1, 2, 2], np.float32),
}


def onnx_seeds() -> list[bytes]:
    """ONNX models of a few nodes each, that import."""
    return [_model(text).SerializeToString() for text in ONNX_TEXTS.values()]


def file_seeds(folder: Path, suffix: str, largest_bytes: int) -> list[bytes]:
    """The files of `folder` that end in `suffix` and are not larger than that."""
    paths = sorted(folder.rglob(f"*{suffix}"))
    return [path.read_bytes() for path in paths if path.stat().st_size <= largest_bytes]


def _model(text: str) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(text)
    read = {name for node in proto.graph.node for name in node.input}
    for name, array in CONSTANTS.items():
        if name in read:
            proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto
