"""Notes of passes on nodes: why one was left as it was. They are kept in the ONNX file."""

from __future__ import annotations

import onnx_ir as ir

from edgecomp.model import Model

PREFIX = "edgecomp.left_by."


def note(node: ir.Node, by: str, why: str) -> None:
    """Say why the pass called `by` left `node` as it was."""
    node.metadata_props[f"{PREFIX}{by}"] = why


def notes_of(model: Model) -> dict[str, str]:
    """What was said, by the node's name: `lowrank: nothing cheaper keeps enough of it`."""
    found = {}
    for node in model.graph.graph:
        notes = [
            f"{key.removeprefix(PREFIX)}: {why}"
            for key, why in node.metadata_props.items()
            if key.startswith(PREFIX)
        ]
        if notes:
            found[str(node.name)] = "; ".join(notes)
    return found
