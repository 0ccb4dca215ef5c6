"""The runtime's way of telling how far it is, told to the compiler's progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from edgecomp.progress import Progress, Step


@contextmanager
def counted(progress: Progress, description: str) -> Iterator[Callable[[int, int], None]]:
    """A function of what is done and what there is to do, which steps a task of `progress`.

    The task begins with the first call, which is when its length is known.
    """
    with ExitStack() as stack:
        steps: list[Step] = []
        reached = 0

        def tell(done: int, total: int) -> None:
            nonlocal reached
            if not steps:
                steps.append(stack.enter_context(progress.task(description, total)))
            while reached < done:
                steps[0]()
                reached += 1

        yield tell
