"""The queue of requests, and how those that fit together are computed together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from grpc import StatusCode

from tfadvseg.inference.engines.signature import Arrays
from tfadvseg.serving.images import Kind
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.status import ServingError, internal, invalid

Result = Arrays | ServingError


@dataclass(eq=False)
class Job:
    """Inputs that wait to be computed.

    Attributes:
        model: name, for the metrics.
        call: the signature's function.
        inputs: its arrays.
        group: equal for jobs that may be joined along the first axis; None for those that may not.
        kinds: of its encoded images. Some graphs take any sizes together, others do not.
        rows: length of the first axis.
        pixels: of the images that will be decoded.
    """

    model: str
    call: Callable[[Arrays], Arrays]
    inputs: Arrays
    group: Hashable | None = None
    kinds: frozenset[Kind] = frozenset()
    rows: int = 1
    pixels: int = 0
    arrived: float = field(default_factory=time.monotonic)
    result: asyncio.Future[Arrays] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@dataclass(frozen=True)
class BatchLimits:
    """How requests are joined.

    Attributes:
        most_rows: of a batch, from 1.
        wait: seconds that a request waits for others to join, from 0.
        threads: batches computed at a time, from 1.
        most_waiting: requests in the queue, from 1; more are refused.
        most_pixels: of the images of a batch.
    """

    most_rows: int
    wait: float
    threads: int
    most_waiting: int
    most_pixels: int


class Scheduler:
    """Computes jobs in the order of their arrival, each with those behind it that fit to it.

    While all threads compute, the queue grows, and so do the next batches: a busy server joins
    requests without making an idle one wait.
    """

    def __init__(self, limits: BatchLimits, metrics: Metrics):
        self._limits, self._metrics = limits, metrics
        self._threads = ThreadPoolExecutor(limits.threads, "compute")
        self._queue: list[Job] = []
        self._unmixed: set[Hashable] = set()  # groups that take no images of several kinds
        self._computing: set[asyncio.Future[list[Result]]] = set()

    async def run(self, job: Job) -> Arrays:
        """The outputs of a job. Whoever stops waiting for them takes it out of the queue.

        Raises:
            ServingError: if the queue is full, or the job fails.
        """
        if len(self._queue) >= self._limits.most_waiting:
            raise ServingError(
                StatusCode.RESOURCE_EXHAUSTED,
                "queue full",
                f"{len(self._queue)} requests wait already; try again later",
            )
        self._queue.append(job)
        self._start()
        try:
            return await job.result
        finally:
            if job in self._queue:
                self._queue.remove(job)
                self._metrics.queue.set(len(self._queue))

    def close(self) -> None:
        """Ends the threads once they are idle."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        """Computes as many batches as there are idle threads."""
        loop = asyncio.get_running_loop()
        while self._queue and len(self._computing) < self._limits.threads:
            batch = self._batch()
            age = time.monotonic() - batch[0].arrived
            if self._may_grow(batch) and age < self._limits.wait:
                loop.call_later(self._limits.wait - age, self._start)
                break
            self._queue = [job for job in self._queue if job not in batch]
            for job in batch:
                waited = time.monotonic() - job.arrived
                self._metrics.queuing_latency.labels(job.model).observe(waited * 1e6)
            work = loop.run_in_executor(self._threads, self._compute, batch)
            self._computing.add(work)
            work.add_done_callback(partial(self._finish, batch))
        self._metrics.queue.set(len(self._queue))

    def _batch(self) -> list[Job]:
        """The first job, and those that fit to it."""
        first, *others = self._queue
        batch, rows, pixels = [first], first.rows, first.pixels
        for job in others if first.group is not None else ():
            if rows >= self._limits.most_rows:
                break
            if (
                self._fit(first, job)
                and rows + job.rows <= self._limits.most_rows
                and pixels + job.pixels <= self._limits.most_pixels
            ):
                batch.append(job)
                rows, pixels = rows + job.rows, pixels + job.pixels
        return batch

    def _fit(self, first: Job, job: Job) -> bool:
        same = first.kinds == job.kinds or first.group not in self._unmixed
        return first.group == job.group and same

    def _may_grow(self, batch: list[Job]) -> bool:
        rows = sum(job.rows for job in batch)
        return batch[0].group is not None and rows < self._limits.most_rows

    def _compute(self, batch: list[Job]) -> list[Result]:
        """The results of jobs that fit together; one that fails takes no other with it."""
        model, rows, began = batch[0].model, sum(job.rows for job in batch), time.monotonic()
        self._metrics.batch_size.labels(model).observe(rows)
        try:
            results = self._together(batch)
        except Exception:  # whichever it was that failed: it will say so when it is alone
            results = [self._alone(job) for job in batch]
            failed = any(isinstance(result, ServingError) for result in results)
            if not failed and len({job.kinds for job in batch}) > 1:
                self._unmixed.add(batch[0].group)
        latency = self._metrics.runtime_latency.labels(model, "Predict", "tfadvseg")
        latency.observe((time.monotonic() - began) * 1e6)
        return results

    def _together(self, batch: list[Job]) -> list[Result]:
        if len(batch) == 1:
            return [self._alone(batch[0])]
        outputs = batch[0].call(_join([job.inputs for job in batch]))
        rows = [job.rows for job in batch]
        if any(array.shape[0] != sum(rows) for array in outputs.values()):
            raise ValueError("outputs have other first axes than inputs")
        return [*_split(outputs, rows)]

    def _alone(self, job: Job) -> Result:
        """The outputs of a job; row by row where the graph does not take its images together."""
        try:
            return _in_parts(job, self._limits.most_rows)
        except ServingError as error:
            if len(job.kinds) < 2:
                return error
        except Exception as error:
            return internal(error)
        try:
            return _in_parts(job, 1)
        except ServingError as error:
            return error

    def _finish(self, batch: list[Job], work: asyncio.Future[list[Result]]) -> None:
        self._computing.discard(work)
        if work.cancelled():
            return
        for job, result in zip(batch, work.result(), strict=True):
            if job.result.done():
                continue  # nobody waits any more
            if isinstance(result, ServingError):
                job.result.set_exception(result)
            else:
                job.result.set_result(result)
        self._start()


def _in_parts(job: Job, most_rows: int) -> Arrays:
    """The outputs of at most so many rows at a time, as memory grows with them.

    Raises:
        ServingError: if a part fails, or their outputs do not fit together.
    """
    if job.group is None or job.rows <= most_rows:
        return job.call(job.inputs)
    whole, rest = divmod(job.rows, most_rows)
    outputs = []
    for part in _split(job.inputs, [most_rows] * whole + [rest] * (rest > 0)):
        if job.result.done():  # nobody waits any more
            return {}
        outputs.append(job.call(part))
    try:
        return _join(outputs)
    except ValueError as error:
        raise invalid(
            "images differ in size",
            "the images differ in size, and so do their outputs; send each on its own",
        ) from error


def _join(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _split(arrays: Arrays, rows: list[int]) -> list[Arrays]:
    ends = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, ends) for name, array in arrays.items()}
    return [{name: parts[name][index] for name in parts} for index in range(len(rows))]
