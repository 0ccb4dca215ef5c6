"""What an artifact is, as plain values: the keys that scripts rely on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgecomp_runtime.manifest import Manifest

_OP_KEYS = ("name", "op", "kernel", "where", "macs", "weights_bytes", "weights")


def artifact_summary(manifest: Manifest) -> dict[str, Any]:
    """The manifest's promises: sizes in bytes, and one row for each call of the program.

    Args:
        manifest: of an opened artifact.

    Returns:
        JSON values; `ram_bytes` is all of the RAM, arena, state, stack and statics.
    """
    memory, flash = manifest.memory, manifest.flash
    return {
        "name": manifest.name,
        "device": manifest.device,
        "target": manifest.target,
        "isa": manifest.machine.isa,
        "cpu": manifest.machine.cpu,
        "inputs": [asdict(spec) for spec in manifest.inputs],
        "outputs": [asdict(spec) for spec in manifest.outputs],
        "flash_bytes": flash.flash_bytes,
        "weights_bytes": flash.weights_bytes,
        "code_bytes": flash.code_bytes,
        "ram_bytes": memory.ram_bytes,
        "arena_bytes": memory.arena_bytes,
        "stack_bytes": memory.stack_bytes,
        "state_bytes": memory.state_bytes,
        "macs": manifest.macs,
        "patches": [asdict(patch) for patch in manifest.patches],
        "passes": list(manifest.passes),
        "preprocess": manifest.preprocess,
        "producer": dict(manifest.producer),
        "ops": [{key: getattr(op, key) for key in _OP_KEYS} for op in manifest.ops],
    }
