"""The ONNX project's backend node tests through the whole line: a table, and results to commit.

    python tests/benchmarks/onnx_backend.py [PATTERN ...] [--batch 60] [--jobs 2] [--write]

PATTERN restricts it to tests whose name contains one of the patterns.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

from backend_cases import Case, load_cases
from backend_run import Result, run_cases

RESULTS = Path(__file__).parent / "results" / "onnx_backend.json"
PACKAGES = ("onnx", "onnx-ir", "onnxscript", "apache-tvm", "ziglang", "numpy")
FORK = multiprocessing.get_context("fork")


def run_apart(cases: Sequence[Case]) -> list[Result]:
    """Run `cases` in another process; one that ends the process is a failure of its own."""
    results: dict[str, Result] = {}
    while left := [case for case in cases if case.name not in results]:
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_worker, args=(left, sender))
        process.start()
        sender.close()
        found, last = _collect(receiver)
        process.join()
        if last is not None:
            results[last] = Result(last, "FAILED", f"the process ended with {process.exitcode}")
        results.update({result.name: result for result in found})
    return [results[case.name] for case in cases]


def _worker(cases: Sequence[Case], sender: Connection) -> None:
    for result in run_cases(cases, sender.send):
        sender.send(result)
    sender.send(None)


def _collect(receiver: Connection) -> tuple[list[Result], str | None]:
    """The results of a worker, and the test it ended in unless it came to its end."""
    found: list[Result] = []
    last: str | None = None
    while True:
        try:
            message = receiver.recv()
        except EOFError:
            return found, last
        if message is None:
            return found, None
        if isinstance(message, Result):
            found.append(message)
        else:
            last = message


def main() -> int:
    """Run the tests, print the table, and with --write commit the results to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--batch", type=int, default=60, help="programs in one C file")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    cases = [
        case
        for case in load_cases()
        if not arguments.patterns or any(p in case.name for p in arguments.patterns)
    ]
    batches = [cases[i : i + arguments.batch] for i in range(0, len(cases), arguments.batch)]
    results: list[Result] = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for batch in pool.map(run_apart, batches):
            results += batch
            print(f"{len(results)} of {len(cases)}", file=sys.stderr)
    print(table(cases, results))
    if arguments.write:
        RESULTS.write_text(json.dumps(record(cases, results), indent=1) + "\n")
    return int(any(result.status == "FAILED" for result in results))


def table(cases: Sequence[Case], results: Sequence[Result]) -> str:
    """The counts, then every refusal and failure with its reason."""
    lines = ["| tests | passed | refused | FAILED | passed % |", "|---|---|---|---|---|"]
    kinds = ["", *sorted({case.outside for case in cases} - {""})]
    for kind in kinds:
        own = [r for c, r in zip(cases, results, strict=True) if c.outside == kind]
        counts = Counter(result.status for result in own)
        share = 100 * counts["passed"] / max(1, len(own))
        label = f"{len(own)} {kind or 'inference on floats and integers'}"
        figures = " | ".join(str(counts[status]) for status in ("passed", "refused", "FAILED"))
        lines.append(f"| {label} | {figures} | {share:.1f} |")
    for status in ("FAILED", "refused"):
        lines += ["", f"{status}:"]
        lines += [f"- {r.name}: {r.detail}" for r in results if r.status == status]
    return "\n".join(lines)


def record(cases: Sequence[Case], results: Sequence[Result]) -> dict[str, object]:
    """What is committed: counts, versions, the command, and each test that did not pass."""
    counts: dict[str, dict[str, int]] = {}
    for case, result in zip(cases, results, strict=True):
        own = counts.setdefault(case.outside or "inference on floats and integers", {})
        own[result.status] = own.get(result.status, 0) + 1
    return {
        "command": "python tests/benchmarks/onnx_backend.py --write",
        "versions": {name: version(name) for name in PACKAGES},
        "counts": counts,
        "not_passed": {
            result.name: f"{result.status}: {result.detail}"
            for result in results
            if result.status != "passed"
        },
    }


if __name__ == "__main__":
    sys.exit(main())
