"""A network of inverted residuals for Fashion-MNIST, trained from nothing.

    python -m tests.benchmarks.fashion_net -o NET.onnx [--data FOLDER] [--epochs N] [--seed N]

Source: Sandler et al. 2018, MobileNetV2, arXiv 1801.04381: expansion 6, depthwise 3x3, linear
bottlenecks, ReLU6; narrower, for images of 28x28. About 11 minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgecomp.compress import save_model
from edgecomp.importers.pytorch import from_torch
from edgecomp.training.determinism import deterministic
from tests.benchmarks.fashion_mnist import INSTALLED, Images, read_images

EXPANSION = 6
STEM, HEAD, CLASSES = 16, 160, 10
BLOCKS = ((16, 1), (16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (40, 1), (64, 1))
"""Channels and stride of each inverted residual; the stem halves the image before."""

HELD_OUT = 5000
"""The last training images are kept from training: choices are made by them."""

EPOCHS = 9
BATCH, HIGHEST_RATE, MOMENTUM, DECAY = 128, 0.2, 0.9, 1e-4


class InvertedResidual(nn.Module):
    """Widen, filter channel by channel, narrow without activation; add the input if it fits."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = EXPANSION * inputs
        self.adds = inputs == outputs and stride == 1
        self.body = nn.Sequential(
            *_convolution(inputs, wide, 1),
            nn.ReLU6(),
            *_convolution(wide, wide, 3, stride, groups=wide),
            nn.ReLU6(),
            *_convolution(wide, outputs, 1),
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[n, inputs, h, w] to [n, outputs, h / stride, w / stride]."""
        found: torch.Tensor = self.body(values)
        return values + found if self.adds else found


class _Mean(nn.Module):
    """The mean of each channel: [n, channels, h, w] to [n, channels]."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.mean((2, 3))


def _convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return layer, nn.BatchNorm2d(outputs)


def build(blocks: Sequence[tuple[int, int]] = BLOCKS) -> nn.Module:
    """An untrained network: [n, 1, 28, 28], 0 to 1, to [n, 10] logits."""
    layers: list[nn.Module] = [*_convolution(1, STEM, 3, 2), nn.ReLU6()]
    channels = STEM
    for outputs, stride in blocks:
        layers.append(InvertedResidual(channels, outputs, stride))
        channels = outputs
    layers += [*_convolution(channels, HEAD, 1), nn.ReLU6()]
    layers += [_Mean(), nn.Linear(HEAD, CLASSES)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def train(images: Images, network: nn.Module, epochs: int, held_out: int = HELD_OUT) -> None:
    """Train on all `images` but the last `held_out`, mirrored at random, at a rate of one cycle.

    Deterministic for a state of PyTorch's random numbers. The share of the held out images told
    right is printed after each epoch; the network is in evaluation mode at last.
    """
    inputs, labels = (
        torch.from_numpy(images.inputs),
        torch.from_numpy(images.labels.astype(np.int64)),
    )
    kept = len(labels) - held_out
    steps = kept // BATCH
    optimizer = torch.optim.SGD(
        network.parameters(), HIGHEST_RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, HIGHEST_RATE, total_steps=epochs * steps
    )
    for epoch in range(epochs):
        network.train()
        for rows in torch.randperm(kept)[: steps * BATCH].reshape(steps, BATCH):
            mirrored = torch.rand(BATCH, 1, 1, 1) < 0.5
            batch = torch.where(mirrored, inputs[rows].flip(3), inputs[rows])
            batch = batch.to(memory_format=torch.channels_last)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(batch), labels[rows]).backward()
            optimizer.step()
            schedule.step()
        right = _right(network, inputs[kept:], labels[kept:])
        print(f"epoch {epoch + 1}: {right:.2%} of {held_out}", file=sys.stderr, flush=True)


def _right(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    network.eval()
    with torch.no_grad():
        found = [network(part).argmax(1) for part in inputs.split(500)]
    return float((torch.cat(found) == labels).float().mean())


def export(network: nn.Module, path: Path) -> None:
    """Write `network` as ONNX for one image, batch normalisation folded into the convolutions."""
    model = from_torch(
        network,
        (torch.zeros(1, 1, 28, 28),),
        name="fashion_net",
        input_names=["image"],
        output_names=["logits"],
    )
    save_model(model, path)


def write(path: Path, folder: Path, epochs: int = EPOCHS, seed: int = 0) -> None:
    """Train on the images in `folder` and write the network."""
    images = read_images("train", folder)
    with deterministic(threads=1):
        torch.manual_seed(seed)
        network = build()
        train(images, network, epochs)
    export(network, path)


def need(path: Path, folder: Path) -> None:
    """Write the network where it is absent."""
    if not path.exists():
        print(f"training {path}", file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    parser.add_argument("--data", type=Path, default=INSTALLED, help="folder of the IDX files")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    write(options.output, options.data, options.epochs, options.seed)


if __name__ == "__main__":
    main()
