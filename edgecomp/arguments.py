"""The arguments of every sub-command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from edgecomp import __version__
from edgecomp.shared_arguments import (
    add_artifact,
    add_link,
    add_model_options,
    add_pass_options,
    add_sample_limit,
    add_state,
)


def make_parser() -> argparse.ArgumentParser:
    """The parser of every sub-command; `command` of what it returns names the one chosen."""
    parser = argparse.ArgumentParser(
        "edgecomp",
        description="Compile trained models to small, fast programs for edge devices.",
        epilog="Start with `edgecomp demo`. EDGECOMP_DEBUG=1 shows where an error comes from.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {
        name: commands.add_parser(name, help=summary, description=summary)
        for name, summary in SUMMARIES.items()
    }
    for command in made.values():
        command.add_argument("--json", action="store_true", help="print JSON for scripts")
    for name, add in ARGUMENTS.items():
        add(made[name])
    return parser


def _demo_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--output",
        type=Path,
        default=Path("demo-out"),
        metavar="DIR",
        help="folder for models, data and programs (%(default)s)",
    )


def _inspect_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="a model or a .edge artifact")
    command.add_argument("--device", metavar="NAME", help="the device a model is meant for")
    add_model_options(command)


def _compress_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, metavar="MODEL", help="the model, as in model.onnx")
    add_pass_options(command)
    command.add_argument(
        "--device", metavar="NAME", help="what the model is compressed for: its costs decide"
    )
    command.add_argument(
        "--test", type=Path, metavar="T.npz", help="labelled samples: the accuracy after each pass"
    )
    command.add_argument("--report", type=Path, metavar="R.html", help="a page on the run to write")
    command.add_argument(
        "--sensitivities",
        type=Path,
        metavar="S.json",
        help="what `edgecomp sensitivity -o` found of the model: curves for the report",
    )
    command.add_argument(
        "--save-recipe", type=Path, metavar="R.toml", help="a recipe to write that repeats the run"
    )
    add_model_options(command)
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT.onnx", help="file to write"
    )


def _sensitivity_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, metavar="MODEL", help="the model, as in model.onnx")
    add_pass_options(command)
    command.add_argument("--device", metavar="NAME", help="whose instructions are modelled")
    command.add_argument("--test", type=Path, metavar="T.npz", help="labelled samples: accuracy")
    add_sample_limit(command)
    add_model_options(command)
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="S.json",
        help="file to write as results come; those it has are not found again",
    )
    command.add_argument(
        "--plot",
        type=Path,
        metavar="S.svg",
        help="charts to write; -p prune:sparsity=0.1/0.3/0.5 gives curves over several strengths",
    )


def _diagnose_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, metavar="MODEL", help="the model, as in model.onnx")
    add_pass_options(command)
    command.add_argument(
        "--worst",
        type=int,
        default=3,
        metavar="N",
        help="values for which remedies are tried (%(default)s)",
    )
    add_sample_limit(command)
    add_model_options(command)


def _compile_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", type=Path, metavar="MODEL", help="the model, as in model.onnx")
    command.add_argument(
        "--device",
        required=True,
        metavar="NAME",
        help="one of `edgecomp devices`, or a profile of your own that ends in .toml",
    )
    add_pass_options(command)
    add_model_options(command)
    command.add_argument(
        "--optimize",
        choices=("speed", "balanced", "size"),
        default="balanced",
        help="what matters (%(default)s)",
    )
    command.add_argument("--ram", metavar="SIZE", help="RAM it may take, as in 32K")
    command.add_argument(
        "--huffman",
        action="store_true",
        help="hold weights once in the artifact, Huffman-coded: a smaller file to send",
    )
    command.add_argument(
        "--io",
        choices=("integer", "float"),
        default="integer",
        help="what a quantized program takes and gives (%(default)s)",
    )
    command.add_argument(
        "--input-layout", choices=("nchw", "nhwc"), help="order of images (the model's)"
    )
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT.edge",
        help="file to write (MODEL.edge, in the current folder)",
    )


def _run_arguments(command: argparse.ArgumentParser) -> None:
    add_artifact(command)
    command.add_argument("--input", type=Path, required=True, metavar="X.npz", help="samples")
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="Y.npz", help="file to write"
    )
    add_state(command)
    add_link(command)


def _verify_arguments(command: argparse.ArgumentParser) -> None:
    add_artifact(command)
    command.add_argument(
        "--against", type=Path, required=True, metavar="MODEL", help="what it should compute"
    )
    command.add_argument("--data", type=Path, required=True, metavar="X.npz", help="samples")
    add_state(command)
    add_sample_limit(command)
    add_model_options(command)


def _evaluate_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="a model or a .edge artifact")
    command.add_argument(
        "--data", type=Path, required=True, metavar="T.npz", help="samples with `labels`"
    )
    add_sample_limit(command)
    add_model_options(command)


def _bench_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "artifacts", type=Path, nargs="+", metavar="OUT.edge", help="artifacts to measure"
    )
    command.add_argument("--input", type=Path, metavar="X.npz", help="samples to measure with")
    command.add_argument(
        "--repeat", type=int, default=50, metavar="N", help="timed inferences (%(default)s)"
    )
    command.add_argument(
        "--warmup", type=int, default=5, metavar="N", help="before them (%(default)s)"
    )
    command.add_argument(
        "--baseline",
        choices=("onnxruntime", "tflite"),
        help="a runtime that takes turns with the artifacts on this machine",
    )
    command.add_argument(
        "--model", type=Path, metavar="MODEL", help="what the baseline runs, as in model.onnx"
    )
    command.add_argument(
        "--flash-command",
        metavar="COMMAND",
        help="what flashes {elf} before --on serial:..., as in 'openocd -f board/st_nucleo_f4.cfg "
        '-c "program {elf} verify reset exit"\', or '
        "'pyocd load -t stm32f446retx {elf}'",
    )
    add_link(command)
    add_model_options(command)


def _package_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "artifacts", type=Path, nargs="+", metavar="OUT.edge", help="artifacts to package together"
    )
    command.add_argument(
        "--as",
        dest="kind",
        required=True,
        metavar="KIND",
        help="c, cmake, arduino, platformio, zephyr, cmsis-pack or mlf",
    )
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder to make"
    )
    command.add_argument("--name", help="what it is called, a C identifier (the model's name)")
    command.add_argument(
        "--release", default="1.0.0", metavar="VERSION", help="its version (%(default)s)"
    )
    command.add_argument(
        "--vendor", default="edgecomp", help="who publishes it (%(default)s), where a kind asks"
    )
    command.add_argument(
        "--url", default="https://example.com", help="where it is published, where a kind asks"
    )


SUMMARIES: Mapping[str, str] = {
    "demo": "compile a trained model for three kinds of device, run and compare it",
    "devices": "list the devices there are profiles of",
    "targets": "list the kinds of silicon and their cores",
    "passes": "list the compression passes and their options",
    "inspect": "show what a model or an artifact is made of",
    "compress": "apply compression passes to a model",
    "sensitivity": "apply passes to one layer at a time: the harm and the saving of each",
    "diagnose": "name the nodes that a quantization hurts, and what would help",
    "compile": "compile a model for a device",
    "run": "run an artifact on the samples of a data file",
    "verify": "compare an artifact with a model",
    "evaluate": "measure the accuracy of a model or an artifact",
    "bench": "measure latency, instructions and energy",
    "package": "make artifacts a library for firmware projects",
}

ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "demo": _demo_arguments,
    "inspect": _inspect_arguments,
    "compress": _compress_arguments,
    "sensitivity": _sensitivity_arguments,
    "diagnose": _diagnose_arguments,
    "compile": _compile_arguments,
    "run": _run_arguments,
    "verify": _verify_arguments,
    "evaluate": _evaluate_arguments,
    "bench": _bench_arguments,
    "package": _package_arguments,
}
