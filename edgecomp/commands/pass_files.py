"""The passes a command line names, and the data files they use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecomp.calibration import CalibrationData
from edgecomp.passes import parse_passes
from edgecomp.passes.base import Pass
from edgecomp.recipe import read_recipe
from edgecomp.training_data import TrainingData
from edgecomp_runtime.preprocess import Preprocess


@dataclass(frozen=True)
class PassFiles:
    """What `-p`, `--data` and `--train` said.

    Attributes:
        specs: the passes, in order.
        recipe: a file with more passes, which come first.
        data: samples for passes that calibrate.
        train: samples for passes that train or measure accuracy.
    """

    specs: Sequence[str]
    data: Path | None = None
    train: Path | None = None
    recipe: Path | None = None

    def passes(self) -> tuple[Pass, ...]:
        """The passes.

        Raises:
            EdgecompError: the recipe cannot be read; or with the reasons of all specs that cannot
                be used.
        """
        listed = () if self.recipe is None else read_recipe(self.recipe)
        return parse_passes([*listed, *self.specs])

    def calibration(self, preprocess: Preprocess | None) -> CalibrationData | None:
        """The samples of `data`; `preprocess` is done to uint8 arrays."""
        return None if self.data is None else CalibrationData(self.data, preprocess)

    def training(self, preprocess: Preprocess | None) -> TrainingData | None:
        """The samples of `train`; `preprocess` is done to uint8 arrays."""
        return None if self.train is None else TrainingData(CalibrationData(self.train, preprocess))
