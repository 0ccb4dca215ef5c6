"""The loop: the best epoch is kept, runs repeat bit for bit, a kill costs one epoch at most."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgecomp.calibration import CalibrationData
from edgecomp.errors import EdgecompError
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.training.accuracy import accuracy
from edgecomp.training.augment import augmented
from edgecomp.training.loop import learning_rate
from edgecomp.training.settings import Settings
from edgecomp.training.train import train, train_and_report
from edgecomp.training_data import Batch, TrainingData

SHORT = Settings(epochs=3, batch=16, lr=0.01, threads=1)


@pytest.fixture
def context(tmp_path: Path, quarters: Callable[[int], Batch]) -> Context:
    """200 labelled samples in a file."""
    batch = quarters(200)
    np.savez(tmp_path / "train.npz", x=batch.inputs["x"], labels=batch.labels)
    return Context(train=TrainingData(CalibrationData(tmp_path / "train.npz")))


def bytes_of(model: Model) -> bytes:
    """The file the model would make."""
    return bytes(ir.to_proto(model.graph).SerializeToString(deterministic=True))


def test_training_learns(
    small_net: Model, context: Context, quarters: Callable[[int], Batch]
) -> None:
    unseen = quarters(200)
    trained = train_and_report(small_net, replace(SHORT, epochs=8), context)
    assert trained.loss < trained.loss_before
    assert trained.accuracy is not None
    assert trained.accuracy >= 0.9
    assert accuracy(small_net, unseen) < 0.7
    assert accuracy(trained.model, unseen) >= 0.85


def test_the_start_counts_as_an_epoch(small_net: Model, context: Context) -> None:
    trained = train(small_net, replace(SHORT, epochs=8), context)
    spoiled = train_and_report(trained, replace(SHORT, lr=10.0, optimizer="sgd"), context)
    assert spoiled.accuracy == spoiled.accuracy_before
    assert bytes_of(spoiled.model) == bytes_of(trained)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_same_seed_gives_the_same_bytes(
    small_net: Model, context: Context, optimizer: Any
) -> None:
    settings = replace(SHORT, optimizer=optimizer, flip=True, shift=1)
    first, again = (bytes_of(train(small_net, settings, context)) for _ in range(2))
    assert first == again
    assert bytes_of(train(small_net, replace(settings, seed=1), context)) != first


@dataclass(frozen=True)
class _Counter:
    """Progress that counts steps into a list, and kills this process after `limit` of them."""

    steps: list[int]
    limit: int | None = None

    @contextmanager
    def task(self, description: str, total: int) -> Any:
        def step() -> None:
            self.steps.append(total)
            if len(self.steps) == self.limit:
                os.kill(os.getpid(), signal.SIGKILL)

        yield step


def _train_until_killed(model: Model, context: Context, steps: int) -> None:
    train(model, SHORT, replace(context, progress=_Counter([], steps)))


def test_a_killed_training_goes_on_to_the_same_bytes(
    small_net: Model, context: Context, tmp_path: Path
) -> None:
    whole = bytes_of(train(small_net, SHORT, context))
    kept = replace(context, checkpoints=tmp_path / "checkpoints")
    steps = 180 // 16
    spawned = multiprocessing.get_context("fork").Process(
        target=_train_until_killed, args=(small_net, kept, steps + 4)
    )
    spawned.start()
    spawned.join(timeout=120)
    assert spawned.exitcode == -signal.SIGKILL
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1

    seen = _Counter([])
    resumed = train(small_net, SHORT, replace(kept, progress=seen))
    assert bytes_of(resumed) == whole
    assert seen.steps == [3 * steps] * (3 * steps)


def test_another_training_does_not_take_the_checkpoint(
    small_net: Model, context: Context, tmp_path: Path
) -> None:
    kept = replace(context, checkpoints=tmp_path / "checkpoints")
    train(small_net, SHORT, kept)
    other = replace(SHORT, lr=0.02)
    assert bytes_of(train(small_net, other, kept)) == bytes_of(train(small_net, other, context))


def test_a_damaged_checkpoint_is_told(small_net: Model, context: Context, tmp_path: Path) -> None:
    kept = replace(context, checkpoints=tmp_path / "checkpoints")
    train(small_net, SHORT, kept)
    (file,) = (tmp_path / "checkpoints").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(EdgecompError, match=r"training_.*: the checkpoint is damaged; remove the"):
        train(small_net, SHORT, kept)


def test_patience_ends_a_training_that_does_not_get_better(
    small_net: Model, context: Context
) -> None:
    trained = train(small_net, replace(SHORT, epochs=8), context)
    seen = _Counter([])
    hopeless = replace(SHORT, lr=10.0, optimizer="sgd", epochs=50, patience=2)
    train(trained, hopeless, replace(context, progress=seen))
    assert len(seen.steps) == 2 * (180 // 16)


def test_the_learning_rate_rises_and_falls() -> None:
    settings = Settings(lr=1.0, warmup=0.2)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    np.testing.assert_allclose(rates[:21], [*np.arange(1, 21) / 20, 1.0])
    assert rates[60] == pytest.approx(0.5)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[99] < 0.001


def test_images_are_mirrored_and_moved() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 1, 1, 3, 4) + 1
    batch = Batch({"x": np.repeat(image, 200, axis=0)}, np.zeros(200, np.int64))
    settings = Settings(flip=True, shift=1)
    found = augmented(batch, settings, np.random.default_rng(0)).inputs["x"][:, 0, 0]
    padded = [np.pad(side, 1) for side in (image[0, 0, 0], image[0, 0, 0, :, ::-1])]
    allowed = {
        p[r : r + 3, c : c + 4].tobytes() for p in padded for r in range(3) for c in range(3)
    }
    assert {each.tobytes() for each in found} == allowed


def test_wrong_samples_and_settings_are_told(
    small_net: Model, context: Context, make_model: Callable[..., Model], tmp_path: Path
) -> None:
    np.savez(tmp_path / "bare.npz", x=np.zeros((9, 1, 1, 6, 6), np.float32))
    bare = Context(train=TrainingData(CalibrationData(tmp_path / "bare.npz")))
    with pytest.raises(EdgecompError, match=r"have no labels; add an array `labels` of class ind"):
        train(small_net, SHORT, bare)
    with pytest.raises(EdgecompError, match="loss=logits needs the model before compression"):
        train(small_net, replace(SHORT, loss="logits"), context)
    with pytest.raises(EdgecompError, match=r"net: nothing in it is learned"):
        train(small_net, replace(SHORT, frozen=("*",)), context)
    flat = make_model("net (float[1,5] x) => (float[1,5] y) { y = Relu (x) }", {})
    with pytest.raises(EdgecompError, match=r"^x: .* flip and shift need images \[1, channels"):
        train(flat, replace(SHORT, flip=True), context)
