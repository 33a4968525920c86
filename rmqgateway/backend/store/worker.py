"""Where blocking calls run: a thread of its own per kind of work, or, in tests, at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

__all__ = ["InlineWorker", "ThreadWorker", "Worker"]

Job = Callable[[], object]
Done = Callable[[BaseException | None], None]


class Worker(Protocol):
    """Runs jobs one after the other, and tells the end of each in the reactor's thread."""

    def submit(self, job: Job, done: Done | None = None) -> None:
        """Run `job`; then call `done` in the reactor's thread with None or what the job raised."""

    def stop(self) -> None:
        """Run what was submitted, then end. Blocks."""


class ThreadWorker:
    """A thread, started with the first job. Cheaper than the reactor's thread pool: one queue, no context."""

    def __init__(self, reactor: IReactorFromThreads, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._jobs: SimpleQueue[tuple[Job, Done | None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job, done: Done | None = None) -> None:
        """See Worker."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._jobs.put((job, done))

    def stop(self) -> None:
        """See Worker."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            item = self._jobs.get()
            if item is None:
                return
            job, done = item
            error: BaseException | None = None
            try:
                job()
            except BaseException as raised:
                error = raised
            if done is not None:
                self._reactor.callFromThread(done, error)
            del item, job, done, error


class InlineWorker:
    """Runs each job within `submit` and tells its end in the next turn of a clock."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def submit(self, job: Job, done: Done | None = None) -> None:
        """See Worker."""
        error: BaseException | None = None
        try:
            job()
        except Exception as raised:
            error = raised
        if done is not None:
            self._clock.callLater(0, done, error)

    def stop(self) -> None:
        """See Worker."""
