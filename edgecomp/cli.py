"""`edgecomp`: arguments to commands, results to tables or JSON. The only module that prints.

Results go to standard output, progress and errors to standard error. Exit codes: 0 all went well,
1 the user's input cannot be used, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console

from edgecomp.arguments import make_parser
from edgecomp.commands.model_file import ModelFile
from edgecomp.errors import EdgecompError
from edgecomp.progress import Progress
from edgecomp.progress_bars import ProgressBars
from edgecomp.report import report
from edgecomp_runtime.errors import RuntimeInputError

if TYPE_CHECKING:
    from edgecomp.commands.pass_files import PassFiles

EXIT_OK, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PIPE = 0, 1, 130, 141
PLAIN_WIDTH = 1000
"""Columns of output that is no terminal: nothing is folded."""

Handler = Callable[[argparse.Namespace, Progress], Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `edgecomp`.

    Args:
        arguments: the command line without the program's name; by default this process's.

    Returns:
        The exit code; wrong usage exits with 2 by itself.
    """
    options = make_parser().parse_args(arguments)
    try:
        with ProgressBars(_console(sys.stderr)) as progress:
            result = HANDLERS[options.command](options, progress)
        _print(options, result)
        sys.stdout.flush()
        complaint = getattr(result, "complaint", None)
        if complaint is not None:
            print(f"edgecomp: {complaint}", file=sys.stderr)
            return EXIT_INPUT
    except KeyboardInterrupt:
        print("edgecomp: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except Exception as error:
        if os.environ.get("EDGECOMP_DEBUG") == "1":
            raise
        for sentence in _sentences(error):
            print(f"edgecomp: {sentence}", file=sys.stderr)
        return EXIT_INPUT
    return EXIT_OK


def _sentences(error: Exception) -> Sequence[str]:
    if isinstance(error, EdgecompError):
        return [str(reason) for reason in error.reasons]
    if isinstance(error, RuntimeInputError):
        return error.reasons
    if isinstance(error, OSError) and error.filename is not None:
        return [f"{error.filename}: {error.strerror}"]
    what = " ".join(str(error).split())
    return [f"{type(error).__name__}: {what} (EDGECOMP_DEBUG=1 shows where)"]


def _console(stream: TextIO) -> Console:
    """A console that prints names as they are, and folds nothing where no person looks."""
    width = None if stream.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def _print(options: argparse.Namespace, result: Any) -> None:
    if options.json:
        print(json.dumps(result.to_json(), indent=1, allow_nan=False))
        return
    console = _console(sys.stdout)
    for line in report(options.command, result):
        console.print(line)


def _demo(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.demo import run_demo

    return run_demo(options.output, progress)


def _devices(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.catalog import list_devices

    return list_devices()


def _targets(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.catalog import list_targets

    return list_targets()


def _passes(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.catalog import list_passes

    return list_passes()


def _inspect(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.inspect import inspect_file

    return inspect_file(_model_file(options, options.file), options.device)


def _compress(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.compress import Extras, compress_file

    file = _model_file(options, options.model)
    extras = Extras(
        options.device,
        options.test,
        options.report,
        options.save_recipe,
        options.sensitivities,
    )
    return compress_file(file, _pass_files(options), options.output, extras, progress)


def _sensitivity(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.sensitivity import Written, sensitivity_file

    file, given = _model_file(options, options.model), _pass_files(options)
    written = Written(options.output, options.plot)
    where = (options.device, options.test, written)
    return sensitivity_file(file, given, *where, options.samples, progress)


def _diagnose(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.diagnose import diagnose_file

    file, given = _model_file(options, options.model), _pass_files(options)
    return diagnose_file(file, given, options.worst, options.samples, progress)


def _compile(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.compile import compile_file, parse_bytes
    from edgecomp.pipeline import Options

    chosen = Options(
        optimize=options.optimize,
        ram_limit=None if options.ram is None else parse_bytes(options.ram),
        integer_io=options.io == "integer",
        input_layout=options.input_layout,
        huffman=options.huffman,
    )
    return compile_file(
        _model_file(options, options.model),
        options.device,
        options.output,
        _pass_files(options),
        chosen,
        progress,
    )


def _run(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.run import run_file

    carry = options.state == "carry"
    return run_file(options.artifact, options.input, options.output, options.on, progress, carry)


def _verify(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.verify import verify_file

    model = _model_file(options, options.against)
    carry = options.state == "carry"
    return verify_file(options.artifact, model, options.data, options.samples, carry, progress)


def _evaluate(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.evaluate import evaluate_file

    file = _model_file(options, options.file)
    return evaluate_file(file, options.data, options.samples, progress)


def _bench(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.bench import bench_files

    return bench_files(
        options.artifacts,
        options.on,
        options.input,
        options.repeat,
        options.warmup,
        options.baseline,
        None if options.model is None else _model_file(options, options.model),
        progress,
        options.flash_command,
    )


def _package(options: argparse.Namespace, progress: Progress) -> Any:
    from edgecomp.commands.package import package_files
    from edgecomp.packaging.project import Labels

    labels = Labels(options.name, options.release, options.vendor, options.url)
    return package_files(options.artifacts, options.kind, options.output, labels)


HANDLERS: Mapping[str, Handler] = {
    "demo": _demo,
    "devices": _devices,
    "targets": _targets,
    "passes": _passes,
    "inspect": _inspect,
    "compress": _compress,
    "sensitivity": _sensitivity,
    "diagnose": _diagnose,
    "compile": _compile,
    "run": _run,
    "verify": _verify,
    "evaluate": _evaluate,
    "bench": _bench,
    "package": _package,
}
"""What does each command; every one imports what it needs, so that none waits for another's."""


def _pass_files(options: argparse.Namespace) -> PassFiles:
    from edgecomp.commands.pass_files import PassFiles

    return PassFiles(options.passes, options.data, options.train, options.recipe)


def _model_file(options: argparse.Namespace, path: Path) -> ModelFile:
    return ModelFile(path, tuple(options.shape), tuple(options.bind), options.preprocess)


if __name__ == "__main__":
    sys.exit(main())
