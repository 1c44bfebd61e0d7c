"""An event loop whose clock jumps to the next timer: an hour of waiting costs nothing, and a seed repeats a run."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Instant(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for nobody; the time it was told to wait is the time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing will ever happen: everybody waits for ever")
        self.now += max(0.0, timeout)
        return ()  # nothing comes from outside


class VirtualLoop(asyncio.SelectorEventLoop):
    """No socket, no thread, no signal."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now

    def run_in_executor(self, _executor: Any, function: Callable[..., Any], *args: Any) -> Any:
        """At once: there is no other thread."""
        future = self.create_future()
        future.set_result(function(*args))
        return future


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end; tasks that are left are cancelled."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
