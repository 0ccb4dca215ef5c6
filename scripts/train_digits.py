"""Train the demo's digit classifier and write it as ONNX to edgecomp/demo_data/digits.onnx.

Needs, besides edgecomp[demo], `torch`; run from the project's root:

    python scripts/train_digits.py

The net is small on purpose, and made of what real edge nets are made of: a 3x3 convolution, two
residual blocks of a depthwise and a pointwise convolution, batch normalization, ReLU, max pooling,
global average pooling and a dense layer. The ONNX file keeps the batch normalizations, so that the
compiler has something to fold. Nothing is written when the accuracy on the test images is below
`REQUIRED_ACCURACY`.
"""

from __future__ import annotations

import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from edgecomp.demo import INPUT_NAME, Arrays, load_split, model_path

SEED = 7
EPOCHS = 120
BATCH = 64
REQUIRED_ACCURACY = 0.98
CHANNELS = (16, 32)
CLASSES = 10
OPSET = 18


class Residual(nn.Module):
    """x + pointwise(depthwise(x)), the convolutions followed by batch normalization."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.depthwise_norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.pointwise_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.depthwise_norm(self.depthwise(x)))
        return torch.relu(x + self.pointwise_norm(self.pointwise(inner)))


class DigitsNet(nn.Module):
    """The classifier: images [n, 1, 8, 8] in 0..1 to scores [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        first, second = CHANNELS
        self.stem = nn.Conv2d(1, first, 3, padding=1)
        self.stem_norm = nn.BatchNorm2d(first)
        self.block1 = Residual(first)
        self.widen = nn.Conv2d(first, second, 3, padding=1)
        self.widen_norm = nn.BatchNorm2d(second)
        self.block2 = Residual(second)
        self.dense = nn.Linear(second, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block1(torch.relu(self.stem_norm(self.stem(x))))
        x = nn.functional.max_pool2d(x, 2)
        x = self.block2(torch.relu(self.widen_norm(self.widen(x))))
        return self.dense(x.mean(dim=(2, 3)))


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """The images of a batch, all moved by up to one pixel in both directions."""
    down, right = (int(torch.randint(0, 3, (), generator=generator)) for _ in range(2))
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    return padded[:, :, down : down + 8, right : right + 8]


def train(data: Arrays) -> DigitsNet:
    """The net trained on `data` with Adam and a one-cycle learning rate."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    images, labels = torch.from_numpy(data[INPUT_NAME]), torch.from_numpy(data["labels"])
    net = DigitsNet()
    optimizer = torch.optim.Adam(net.parameters(), weight_decay=1e-4)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator)
        for rows in order[: len(images) // BATCH * BATCH].split(BATCH):
            optimizer.zero_grad()
            loss_of(net(shifted(images[rows], generator)), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


class GraphWriter:
    """Writes the layers of a `DigitsNet` as ONNX nodes that bear the layers' names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, op: str, name: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Add one node and return the name of its output."""
        output = output or f"{name}_output"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, name: str, value: Tensor) -> str:
        """Add a float32 constant and return its name."""
        array = value.detach().numpy().astype(np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def convolution(self, name: str, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
        """Add a convolution and the batch normalization behind it."""
        assert conv.bias is not None
        weight, bias = (self.constant(f"{name}.{key}", getattr(conv, key)) for key in WEIGHTS)
        side = conv.kernel_size[0]
        pad = side // 2
        shape = {"kernel_shape": [side] * 2, "pads": [pad] * 4, "group": conv.groups}
        x = self.node("Conv", name, x, weight, bias, **shape)
        statistics = (*WEIGHTS, "running_mean", "running_var")
        operands = [self.constant(f"{name}_norm.{key}", getattr(norm, key)) for key in statistics]
        return self.node("BatchNormalization", f"{name}_norm", x, *operands, epsilon=norm.eps)

    def residual(self, name: str, x: str, block: Residual) -> str:
        """Add a residual block."""
        depthwise = self.convolution(f"{name}_depthwise", x, block.depthwise, block.depthwise_norm)
        inner = self.node("Relu", f"{name}_depthwise_relu", depthwise)
        inner = self.convolution(f"{name}_pointwise", inner, block.pointwise, block.pointwise_norm)
        return self.node("Relu", f"{name}_relu", self.node("Add", f"{name}_add", x, inner))


WEIGHTS = ("weight", "bias")


def to_onnx(net: DigitsNet) -> onnx.ModelProto:
    """The net as an ONNX model whose batch size is free."""
    graph = GraphWriter()
    x = graph.convolution("stem", INPUT_NAME, net.stem, net.stem_norm)
    x = graph.residual("block1", graph.node("Relu", "stem_relu", x), net.block1)
    x = graph.node("MaxPool", "pool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.convolution("widen", x, net.widen, net.widen_norm)
    x = graph.residual("block2", graph.node("Relu", "widen_relu", x), net.block2)
    x = graph.node("Flatten", "flatten", graph.node("GlobalAveragePool", "average", x))
    operands = [graph.constant(f"dense.{key}", getattr(net.dense, key)) for key in WEIGHTS]
    graph.node("Gemm", "dense", x, *operands, output="scores", transB=1)
    images = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", 1, 8, 8])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])
    proto = helper.make_graph(graph.nodes, "digits", [images], [scores], graph.constants)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def accuracy(model: onnx.ModelProto, data: Arrays) -> float:
    """The part of `data` that the ONNX model classifies as labelled."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (scores,) = session.run(None, {INPUT_NAME: data[INPUT_NAME]})
    return float((scores.argmax(1) == data["labels"]).mean())


def main() -> None:
    """Train, check the accuracy, write the model."""
    training, test = load_split()
    model = to_onnx(train(training))
    reached = accuracy(model, test)
    print(f"test accuracy {reached:.2%} ({len(test['labels'])} images)")
    if reached < REQUIRED_ACCURACY:
        sys.exit(f"the accuracy is below {REQUIRED_ACCURACY:.0%}; nothing is written")
    model_path().write_bytes(model.SerializeToString())
    print(f"wrote {model_path()} ({model_path().stat().st_size} bytes)")


if __name__ == "__main__":
    main()
