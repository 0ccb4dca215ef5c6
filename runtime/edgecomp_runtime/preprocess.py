"""From raw recordings (uint8) to what a model was trained on: scale, mean, deviation, layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.errors import InputError, raise_if_any

LAYOUTS = ("nchw", "nhwc")
_LEVELS = 256
_FLOAT32 = np.finfo(np.float32)


@dataclass(frozen=True)
class Preprocess:
    """real = (recorded * scale - mean) / std, then the layout; the fields are the spec's options.

    Attributes:
        scale: factor on the recorded value.
        mean: one number, or one for each channel.
        std: one number, or one for each channel.
        layout: "nchw" when recordings are NHWC and the model wants NCHW; "nhwc" or None when
            recordings lie as the model wants them.
    """

    scale: Fraction = Fraction(1)
    mean: tuple[Fraction, ...] = (Fraction(0),)
    std: tuple[Fraction, ...] = (Fraction(1),)
    layout: str | None = None

    @staticmethod
    def parse(spec: str) -> Preprocess:
        """The preprocessing that `spec` names, as in `scale=1/255,mean=0.5:0.5:0.5,layout=nchw`.

        Raises:
            InputError: every option of the spec that cannot be used.
        """
        options: dict[str, Any] = {}
        reasons: list[str] = []
        for item in filter(None, spec.split(",")):
            key, _, text = item.partition("=")
            if key not in _READERS:
                known = ", ".join(_READERS)
                reasons.append(f"preprocess: there is no option {key!r}; choose from {known}")
            elif key in options:
                reasons.append(f"preprocess: {key} is given twice")
            else:
                try:
                    options[key] = _READERS[key](text)
                except ValueError as error:
                    reasons.append(f"preprocess: {key}={text} {error}")
        raise_if_any(InputError, reasons)
        made = Preprocess(**options)
        raise_if_any(InputError, made._contradictions())
        return made

    def __str__(self) -> str:
        parts = [
            f"scale={_number_text(self.scale)}" if self.scale != 1 else "",
            f"mean={_numbers_text(self.mean)}" if any(self.mean) else "",
            f"std={_numbers_text(self.std)}" if set(self.std) != {1} else "",
            f"layout={self.layout}" if self.layout else "",
        ]
        return ",".join(filter(None, parts))

    @property
    def channels(self) -> int:
        """For how many channels there are numbers of their own; 1 when all share one."""
        return max(len(self.mean), len(self.std))

    def recorded_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a recording (uint8) for a model input of `shape`."""
        if self.layout == "nchw" and len(shape) == 4:
            batch, channels, height, width = shape
            return (batch, height, width, channels)
        return shape

    def apply(self, array: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Real values of recordings.

        Args:
            array: uint8, any number of leading axes; with layout "nchw" its last three axes are
                height, width, channel. Without it, channels with numbers of their own are the
                last axis, or the third from the end when only that one is as long.

        Returns:
            float32, each value rounded from the exact quotient; with layout "nchw" the
            last three axes are channel, height, width.

        Raises:
            InputError: no axis is as long as there are means or deviations.
        """
        table = self._table()
        if self.channels == 1:
            real = table[0][array]
        else:
            axis = self._channel_axis(array.shape)
            along = [1] * array.ndim
            along[axis] = self.channels
            real = table[np.arange(self.channels).reshape(along), array]
        if self.layout == "nchw" and array.ndim >= 3:
            real = np.moveaxis(real, -1, -3)
        return np.ascontiguousarray(real, np.float32)

    def _table(self) -> npt.NDArray[np.float32]:
        """The real value of each recorded value, [channels, 256]."""
        means = self.mean * (self.channels // len(self.mean))
        deviations = self.std * (self.channels // len(self.std))
        exact = [
            [float((level * self.scale - mean) / deviation) for level in range(_LEVELS)]
            for mean, deviation in zip(means, deviations)
        ]
        with np.errstate(over="ignore"):  # beyond float32 is infinity
            return np.array(exact, np.float64).astype(np.float32)

    def _channel_axis(self, shape: tuple[int, ...]) -> int:
        candidates = [-1] if self.layout == "nchw" else [-1, -3]
        for axis in candidates:
            if len(shape) >= -axis and shape[axis] == self.channels:
                return axis
        raise InputError(
            f"preprocess: mean and std are given for {self.channels} channels, "
            f"an array of shape {list(shape)} has another number of them"
        )

    def _contradictions(self) -> list[str]:
        reasons = []
        if 0 in self.std:
            reasons.append("preprocess: std=0 divides by zero")
        if len(self.mean) > 1 and len(self.std) > 1 and len(self.mean) != len(self.std):
            reasons.append(
                f"preprocess: mean has {len(self.mean)} channels and std {len(self.std)}; "
                "give one number or the same count"
            )
        return reasons


def _number(text: str) -> Fraction:
    try:
        number = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError("is not a number or a fraction such as 1/255") from None
    if number and not _FLOAT32.tiny <= abs(number) <= _FLOAT32.max:
        raise ValueError("is beyond the range of float32")
    return number


def _numbers(text: str) -> tuple[Fraction, ...]:
    return tuple(_number(part) for part in text.split(":"))


def _layout(text: str) -> str:
    if text not in LAYOUTS:
        raise ValueError(f"is not a layout; choose from {', '.join(LAYOUTS)}")
    return text


def _number_text(number: Fraction) -> str:
    """The shortest text that `_number` reads back as exactly `number`."""
    decimal = repr(float(number))
    whole = number.denominator == 1
    return decimal if not whole and Fraction(decimal) == number else str(number)


def _numbers_text(numbers: tuple[Fraction, ...]) -> str:
    return ":".join(_number_text(number) for number in numbers)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "scale": _number,
    "mean": _numbers,
    "std": _numbers,
    "layout": _layout,
}
