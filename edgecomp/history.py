"""The passes applied to a model, kept in its file so that they survive saving and loading."""

from __future__ import annotations

import json

import onnx

from edgecomp.errors import EdgecompError, Reason

HISTORY_KEY = "edgecomp.passes"
"""Key of the model's metadata; the value is a JSON list of spec strings, oldest first."""


def write_history(proto: onnx.ModelProto, history: tuple[str, ...]) -> None:
    """Put `history` into the metadata of `proto`, in place of what was there."""
    kept = [entry for entry in proto.metadata_props if entry.key != HISTORY_KEY]
    if history:
        kept.append(onnx.StringStringEntryProto(key=HISTORY_KEY, value=json.dumps(history)))
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)


def read_history(proto: onnx.ModelProto) -> tuple[str, ...]:
    """The history in the metadata of `proto`; empty when there is none.

    Raises:
        EdgecompError: the entry is damaged.
    """
    for entry in proto.metadata_props:
        if entry.key == HISTORY_KEY:
            try:
                specs = json.loads(entry.value)
            except json.JSONDecodeError:
                specs = None
            if isinstance(specs, list) and all(isinstance(spec, str) for spec in specs):
                return tuple(specs)
            raise EdgecompError(
                Reason("the entry is no JSON list of passes", HISTORY_KEY, "remove the metadata")
            )
    return ()
