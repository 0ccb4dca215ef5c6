"""What a pass may use beside the model it changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecomp.calibration import CalibrationData
from edgecomp.device import Device
from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.progress import SILENT, Progress
from edgecomp.training_data import TrainingData


@dataclass(frozen=True)
class Context:
    """What the user gave beside the model; a pass that needs what is absent says so by `need_*`.

    Attributes:
        data: samples to calibrate on, without labels.
        train: samples to train and to measure accuracy on, with labels where there are any.
        device: what the model is compressed for; its cost decides what pays.
        original: the model before the first pass: the teacher of distillation, the reference of
            every divergence.
        checkpoints: folder where long work keeps what it needs to go on after an interruption.
        progress: who is told how far it is.
    """

    data: CalibrationData | None = None
    train: TrainingData | None = None
    device: Device | None = None
    original: Model | None = None
    checkpoints: Path | None = None
    progress: Progress = SILENT

    def need_data(self, name: str) -> CalibrationData:
        """Calibration samples for the pass called `name`: `data`, or else those of `train`.

        Raises:
            EdgecompError: the user gave neither.
        """
        if self.data is not None:
            return self.data
        if self.train is not None:
            return self.train.samples
        raise EdgecompError(Reason("calibration samples are needed", name, "give --data FILE.npz"))

    def need_train(self, name: str) -> TrainingData:
        """Training samples for the pass called `name`.

        Raises:
            EdgecompError: the user gave none.
        """
        if self.train is None:
            raise EdgecompError(
                Reason("training samples are needed", name, "give --train FILE.npz")
            )
        return self.train
