"""Half of the channels of many architectures: what is left, and whether it runs.

    python -m tests.benchmarks.pruning [MODEL.onnx ...]

Without files, the networks that come with the onnx package. Results are kept in
results/pruning.json; the table of all is printed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgecomp.compress import compress, statistics
from edgecomp.errors import EdgecompError
from edgecomp.graph.evaluate import fold_constant_nodes
from edgecomp.importers import load
from edgecomp.passes.prune import Prune
from edgecomp.reference import Executor

RESULTS = Path(__file__).parent / "results" / "pruning.json"
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def measure(path: Path) -> dict[str, Any]:
    """Shares of parameters and multiply-accumulates left, or why not."""
    started = time.monotonic()
    try:
        model = load(path)
        folded = model.graph.clone()
        fold_constant_nodes(folded.graph)
        before = statistics(model.with_graph(folded))
        small = compress(model, [Prune(params=0.5, criterion="random", scope="layer")])
    except EdgecompError as error:
        return {"refused": "; ".join(map(str, error.reasons))[:300]}
    rng = np.random.default_rng(0)
    feed = {s.name: rng.normal(size=s.shape).astype(s.dtype) for s in model.inputs}
    Executor(small.graph, [spec.name for spec in model.outputs]).run(feed)
    after = statistics(small)
    return {
        "params": after.params / before.params,
        "macs": after.macs / max(before.macs, 1),
        "seconds": time.monotonic() - started,
    }


def main(arguments: Sequence[str]) -> None:
    """Measure the files and print all that is known."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for path in map(Path, arguments or sorted(map(str, LIGHT.glob("*.onnx")))):
        print(path.stem, file=sys.stderr, flush=True)
        known[path.stem] = measure(path)
        RESULTS.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    print("| network | parameters left | MACs left | s |\n|---|---|---|---|")
    for name, row in known.items():
        if "refused" in row:
            print(f"| {name} | refused: {row['refused']} | | |")
        else:
            print(f"| {name} | {row['params']:.1%} | {row['macs']:.1%} | {row['seconds']:.0f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
