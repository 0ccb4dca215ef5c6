"""What compression costs in accuracy and saves, case by case, beside what was aimed at.

    python -m tests.benchmarks.compression --shared FOLDER [--case NAME ...] [--again]

Results are kept in results/compression.json as they come; the table is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edgecomp.toolchain import cache_folder
from tests.benchmarks.compression_cases import CASES
from tests.benchmarks.compression_data import Folders, sets_of
from tests.benchmarks.compression_measure import Row, measure
from tests.benchmarks.fashion_mnist import INSTALLED

RESULTS = Path(__file__).parent / "results" / "compression.json"


def line(row: Row) -> str:
    """One line of the table."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    precise = "{:.3f}" if row.agreement is None else "{:.2%}"
    cells = [
        row.case,
        precise.format(row.before),
        precise.format(row.after),
        share(row.agreement),
        share(row.params),
        share(row.macs),
        f"{1 / row.bytes:.1f}x",
        share(row.instructions),
        share(row.flash),
        f"{row.seconds:.0f}",
        CASES[row.case].target,
    ]
    return "| " + " | ".join(cells) + " |"


HEADING = ("case", "before", "after", "agreement", "parameters", "MACs", "smaller",
           "M4 instructions", "M4 flash", "s", "target")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not known yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shared", type=Path, required=True, help="folder with models and data")
    parser.add_argument(
        "--fashion", type=Path, default=INSTALLED, help="folder of the files of Fashion-MNIST"
    )
    parser.add_argument(
        "--trained", type=Path, default=cache_folder(), help="folder of networks trained here"
    )
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--again", action="store_true", help="measure what is known, too")
    options = parser.parse_args(arguments)
    folders = Folders(options.shared, options.fashion, options.trained)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.case:
        if name in known and not options.again:
            continue
        print(name, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as work:
            sets = sets_of(CASES[name].model, folders, Path(work))
            known[name] = asdict(measure(name, CASES[name].passes, sets, Path(work)))
        ordered = {case: known[case] for case in CASES if case in known}
        RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
    print("| " + " | ".join(HEADING) + " |")
    print("|" + "---|" * len(HEADING))
    for name in CASES:
        if name in known:
            print(line(Row(**known[name])))


if __name__ == "__main__":
    main()
