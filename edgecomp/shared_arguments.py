"""Arguments that several sub-commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_artifact(command: argparse.ArgumentParser) -> None:
    """The artifact, by position."""
    command.add_argument("artifact", type=Path, metavar="OUT.edge", help="the artifact")


def add_state(command: argparse.ArgumentParser) -> None:
    """`--state`: whether a streaming model goes on from sample to sample."""
    command.add_argument(
        "--state",
        choices=("carry", "reset"),
        default="reset",
        help="of a streaming model: carried from sample to sample, or reset before each (default)",
    )


def add_link(command: argparse.ArgumentParser) -> None:
    """`--on`: where an artifact runs."""
    command.add_argument(
        "--on",
        metavar="LINK",
        help="native:, unicorn:, qemu:, ssh://user@host:port, or of bench serial:/dev/ttyACM0; by "
        "default what fits",
    )


def add_sample_limit(command: argparse.ArgumentParser) -> None:
    """`--samples`: how many samples are taken at most."""
    command.add_argument(
        "--samples", type=int, metavar="N", help="take at most N samples, evenly spread"
    )


def add_pass_options(command: argparse.ArgumentParser) -> None:
    """The passes, their recipe and their data."""
    command.add_argument(
        "-p",
        "--pass",
        dest="passes",
        action="append",
        default=[],
        metavar="PASS",
        help="a pass with its options, as in quantize:estimator=mse; may be repeated",
    )
    command.add_argument(
        "--recipe", type=Path, metavar="R.toml", help="a file with more passes, which come first"
    )
    command.add_argument(
        "--data", type=Path, metavar="D.npz", help="samples for passes that calibrate"
    )
    command.add_argument(
        "--train",
        type=Path,
        metavar="T.npz",
        help="samples to train and to measure accuracy on, with `labels`",
    )


def add_model_options(command: argparse.ArgumentParser) -> None:
    """What a model file leaves open."""
    options = command.add_argument_group("of the model")
    options.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=1,3,224,224",
        help="static shape of an input; may be repeated",
    )
    options.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="turn an input into a constant; may be repeated",
    )
    options.add_argument(
        "--preprocess",
        metavar="SPEC",
        help="what makes inputs of uint8 recordings, as in scale=1/255,mean=0.5,layout=nchw",
    )
