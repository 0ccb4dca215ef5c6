"""Half of the parameters of many architectures: what is left, and whether it runs.

    python -m tests.benchmarks.pruning [FOLDER] [--case NAME ...]

The networks that come with the onnx package, and, with a FOLDER of unpacked packages, the models of
`real_model_cases`. Results are kept in results/pruning.json; the table of all is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecomp.compress import compress, statistics
from edgecomp.errors import EdgecompError
from edgecomp.graph.evaluate import fold_constant_nodes
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.passes.prune import Prune
from edgecomp.reference import Executor
from tests.benchmarks.real_model_cases import CASES, ONNX_PACKAGE, Case

RESULTS = Path(__file__).parent / "results" / "pruning.json"
HALF = Prune(params=0.5, criterion="random", scope="layer")


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Shares of parameters and multiply-accumulates left, or why not."""
    started = time.monotonic()
    try:
        model = load(case.found(folder), shapes=case.shapes, bindings=case.bindings)
        folded = model.graph.clone()
        fold_constant_nodes(folded.graph)  # weights that nodes compute
        before = statistics(model.with_graph(folded))
        small = compress(model, [HALF])
    except EdgecompError as error:
        return {"refused": [str(reason) for reason in error.reasons]}
    run(small)
    after = statistics(small)
    return {
        "params": after.params / before.params,
        "macs": after.macs / max(before.macs, 1),
        "seconds": time.monotonic() - started,
    }


def run(model: Model) -> None:
    """Run `model` once, on noise.

    Raises:
        EdgecompError: onnxruntime does not run it.
    """
    rng = np.random.default_rng(0)
    feed = {s.name: rng.normal(size=s.shape).astype(s.dtype) for s in model.inputs}
    feed |= {state.input: state.initial for state in model.states}
    Executor(model.graph, [spec.name for spec in model.outputs]).run(feed)


def line(name: str, row: dict[str, Any]) -> str:
    """One line of the table."""
    if "refused" in row:
        return f"| {name} | refused: {row['refused'][-1]} | | |"
    return f"| {name} | {row['params']:.1%} | {row['macs']:.1%} | {row['seconds']:.0f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print all that is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, help="unpacked packages")
    parser.add_argument("--case", nargs="+", help="parts of the names of those to measure")
    options = parser.parse_args(arguments)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for case in CASES:
        there = case.package == ONNX_PACKAGE or options.folder is not None
        asked = not options.case or any(part in case.name for part in options.case)
        if there and asked:
            print(case.name, file=sys.stderr, flush=True)
            known[case.name] = measure(case, options.folder or Path())
            RESULTS.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    print("| network | parameters left | MACs left | s |\n|---|---|---|---|")
    for name, row in known.items():
        print(line(name, row))


if __name__ == "__main__":
    main()
