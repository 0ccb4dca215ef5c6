"""PyTorch modules and .pt2 files: imported and compiled, they compute what torch computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import edgecomp
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.pipeline import compile_model
from edgecomp.reference import run_reference
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session


class Residual(nn.Module):
    """Convolution and batch normalization beside a shortcut."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(x + self.norm(self.conv(x)))


class ConvNet(nn.Module):
    """An image classifier with residual blocks."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Residual(8), Residual(8))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        return self.head(self.drop(self.pool(self.blocks(self.stem(image))).flatten(1)))


class Attention(nn.Module):
    """A transformer's block."""

    def __init__(self):
        super().__init__()
        self.before = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.after = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x):
        y = self.before(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.after(x))


class Functional(nn.Module):
    """Operations that are no modules."""

    def forward(self, x):
        y = functional.max_pool2d(functional.pad(functional.hardswish(x), (1, 1, 1, 1)), 2)
        y = functional.avg_pool2d(functional.leaky_relu(y, 0.1), 2)
        y = torch.cat([y.clamp(-1, 1), torch.sigmoid(y)], dim=1).permute(0, 2, 3, 1)
        return functional.log_softmax(y.reshape(y.shape[0], -1), dim=-1)


class TwoToTwo(nn.Module):
    """Two inputs, two outputs, and one weight for two layers."""

    def __init__(self):
        super().__init__()
        self.left = nn.Linear(6, 6)
        self.right = nn.Linear(6, 6)
        self.right.weight = self.left.weight

    def forward(self, a, b):
        return self.left(a) * torch.tanh(b), self.right(a - b).mean(1)


CASES = {
    "conv_net": (ConvNet, [(1, 3, 16, 16)]),
    "attention": (Attention, [(1, 5, 8)]),
    "functional": (Functional, [(1, 4, 8, 8)]),
    "two_to_two": (TwoToTwo, [(1, 6), (1, 6)]),
}


def sound(module):
    """The module with reproducible weights, and statistics that do something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
                if name.endswith("running_var"):
                    value.copy_(value.abs() + 0.5)
    return module


def drawn(shapes, seed=0):
    """Random tensors."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def expected(module, inputs):
    """What torch computes in evaluation mode, as arrays."""
    with torch.no_grad():
        outputs = module.eval()(*inputs)
    return [each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]


def imported(model, inputs):
    """What the imported model computes."""
    return [each[0] for each in run_reference(model, [x.numpy()[None] for x in inputs])]


def names(model):
    """The names of the model's nodes."""
    return [node.name for node in model.graph.graph]


@pytest.mark.parametrize("case", CASES)
def test_import_and_program_agree_with_torch(case, tmp_path):
    kind, shapes = CASES[case]
    module, inputs = sound(kind()), drawn(shapes)
    model = edgecomp.from_torch(module, drawn(shapes, seed=9), name=case)
    path = tmp_path / "model.edge"
    compile_model(model, load_device("host"), path)
    with Session(open_artifact(path)) as session:
        compiled = list(session.run([x.numpy() for x in inputs]).values())
    wanted = expected(module, inputs)
    assert [spec.shape for spec in model.inputs] == shapes
    for found in (imported(model, inputs), compiled):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one.reshape(other.shape), other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_pt2_file_is_the_same_model(case, tmp_path):
    kind, shapes = CASES[case]
    module = sound(kind()).eval()
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(module, tuple(drawn(shapes))), path)
    model, direct = load(path), edgecomp.from_torch(module, drawn(shapes))
    assert model.source == path
    assert names(model) == names(direct)
    assert (model.inputs, model.outputs) == (direct.inputs, direct.outputs)
    for one, other in zip(
        imported(model, drawn(shapes)), imported(direct, drawn(shapes)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_nodes_are_called_like_their_modules():
    model = edgecomp.from_torch(sound(ConvNet()), drawn([(1, 3, 16, 16)]))
    found = names(model)
    assert {"stem", "blocks.0.conv", "blocks.1.conv", "pool", "head"} <= set(found)
    assert {"blocks.0/relu", "blocks.1/relu_1"} <= set(found)
    assert not any(node.metadata_props for node in model.graph.graph)


def test_an_open_batch_becomes_one(tmp_path):
    module = sound(ConvNet())
    batch = torch.export.Dim("batch")
    example = drawn([(4, 3, 16, 16)])
    model = edgecomp.from_torch(module, example, dynamic_shapes={"image": {0: batch}})
    assert model.inputs[0].shape == (1, 3, 16, 16)
    one = drawn([(1, 3, 16, 16)])
    np.testing.assert_allclose(imported(model, one)[0], expected(module, one)[0], rtol=1e-4)
    path = tmp_path / "model.pt2"
    program = torch.export.export(module.eval(), tuple(example), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    assert load(path).inputs[0].shape == (1, 3, 16, 16)
    assert load(path, shapes={"image": (2, 3, 16, 16)}).inputs[0].shape == (2, 3, 16, 16)


def test_names_are_the_users():
    inputs = drawn([(1, 6), (1, 6)])
    model = edgecomp.from_torch(
        TwoToTwo(), {"b": inputs[1], "a": inputs[0]}, output_names=["product", "mean"]
    )
    assert model.name == "TwoToTwo"
    assert [spec.name for spec in model.outputs] == ["product", "mean"]
    renamed = edgecomp.from_torch(TwoToTwo(), inputs, input_names=["left", "right"])
    assert [spec.name for spec in renamed.inputs] == ["left", "right"]


def test_shared_parameters_are_stored_once():
    model = edgecomp.from_torch(sound(TwoToTwo()), drawn([(1, 6), (1, 6)]))
    shapes = [tuple(value.shape) for value in model.graph.graph.initializers.values()]
    assert shapes.count((6, 6)) == 1


def test_the_module_keeps_its_mode():
    module = ConvNet().train()
    module.pool.eval()
    edgecomp.from_torch(module, drawn([(1, 3, 16, 16)]))
    assert module.training
    assert module.drop.training
    assert not module.pool.training
