"""Damage model files for as long as told, import them, and keep those that break a rule.

    python scripts/fuzz_importers.py --minutes 15 --corpus MODELS --findings FOLDER

The rules are those of `fuzzing.judge`. Files of the corpus (.onnx and .tflite, small ones) are
damaged beside the built-in models; a file that breaks a rule in a new way is saved in the findings
folder, with the traceback.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fuzzing.damage_bytes import damage_bytes
from fuzzing.damage_onnx import damage_onnx
from fuzzing.damage_tflite import damage_tflite
from fuzzing.judge import Judge, Verdict
from fuzzing.seeds import file_seeds, onnx_seeds

FIELDS = {".onnx": damage_onnx, ".tflite": damage_tflite}
"""What damages the fields of a kind of file."""


def damaged(seeds: Sequence[bytes], suffix: str, choose: random.Random) -> bytes:
    """One of the seeds, three times of four with damaged fields, else with damaged bytes."""
    content = choose.choice(seeds)
    if choose.random() < 0.75:
        return FIELDS[suffix](content, choose)
    return damage_bytes(content, choose, choose.choice(seeds))


class Tally:
    """Counts outcomes, and keeps the first file of each fault."""

    def __init__(self, findings: Path) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()
        self._findings = findings

    def add(self, verdict: Verdict, content: bytes, suffix: str) -> None:
        """Count a verdict; print and save what is new."""
        self.outcomes[f"{suffix} {verdict.outcome}"] += 1
        if verdict.good:
            return
        fault = f"{suffix} {verdict.signature}"
        self.faults[fault] += 1
        if self.faults[fault] > 1:
            return
        self._findings.mkdir(parents=True, exist_ok=True)
        path = self._findings / (hashlib.sha256(content).hexdigest()[:12] + suffix)
        path.write_bytes(content)
        path.with_name(path.name + ".txt").write_text(f"{fault}\n\n{verdict.detail}\n")
        print(f"{fault}: {path}", flush=True)


def fuzz(seeds: Mapping[str, Sequence[bytes]], seconds: float, seed: int, tally: Tally) -> None:
    """Damage and import until the time is over."""
    choose = random.Random(seed)
    end = time.monotonic() + seconds
    with Judge() as judge, tempfile.TemporaryDirectory() as folder:
        Path(folder, "canary").write_bytes(b"c" * 4096)
        place = Path(folder, "models")
        place.mkdir()
        (place / "weights.bin").write_bytes(bytes(range(256)) * 64)
        (place / "canary").symlink_to("../canary")
        while time.monotonic() < end:
            suffix = choose.choice(sorted(seeds))
            content = damaged(seeds[suffix], suffix, choose)
            path = place / f"model{suffix}"
            path.write_bytes(content)
            tally.add(judge(path), content, suffix)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--corpus", type=Path, help="folder of models to damage as well")
    parser.add_argument("--largest", type=int, default=128 * 1024, help="bytes of a corpus file")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seeds: dict[str, list[bytes]] = {".onnx": onnx_seeds(), ".tflite": []}
    for suffix in FIELDS if options.corpus else ():
        seeds[suffix] += file_seeds(options.corpus, suffix, options.largest)
    tally = Tally(options.findings)
    with contextlib.suppress(KeyboardInterrupt):
        fuzz({s: c for s, c in seeds.items() if c}, options.minutes * 60, options.seed, tally)
    for outcome, count in sorted(tally.outcomes.items()):
        print(f"{count:8} {outcome}")
    for fault, count in tally.faults.most_common():
        print(f"{count:8} fault: {fault}")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
