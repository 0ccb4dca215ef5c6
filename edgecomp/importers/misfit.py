"""What a rule raises on operands it was not written for, as a sentence that names the node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgecomp.errors import EdgecompError, Reason


@contextmanager
def misfits_refused(operator: str, where: str) -> Iterator[None]:
    """Refuse the node `where` when a block, which translates it, cannot use its operands.

    Rules rely on what the standard demands of operands; damaged and hostile files break that in
    more ways than each rule can check.

    Raises:
        EdgecompError: the block raised anything; its own `EdgecompError` is left as it is.
    """
    try:
        yield
    except EdgecompError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no reason is given"]
        raise EdgecompError(
            Reason(
                f"{operator} does not fit its operands ({type(error).__name__}: {lines[0][:200]})",
                where,
                "correct the node, or export the model again",
            )
        ) from error
