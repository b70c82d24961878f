"""What is computed together, with a graph that is a function of ours."""

import asyncio
import threading

import numpy as np
import pytest

from tfadvseg.serving.batching import BatchLimits, Job, Scheduler
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.status import ServingError, invalid

SMALL, LARGE = ((8, 8), b""), ((9, 9), b"")


class Graph:
    """Doubles numbers, refuses negative ones, and remembers what came together.

    Args:
        mixes: whether it takes images of several kinds: here, numbers below and above 100.
    """

    def __init__(self, mixes=True):
        self.mixes, self.calls, self.go = mixes, [], threading.Event()

    def __call__(self, inputs):
        self.go.wait(10)
        numbers = inputs["x"]
        self.calls.append(numbers.tolist())
        if (numbers < 0).any():
            raise invalid("negative", "negative")
        if not self.mixes and (numbers < 100).any() and (numbers > 100).any():
            raise invalid("mixed", "mixed")
        return {"y": numbers * 2}

    def job(self, *numbers, group="g", pixels=0):
        kinds = frozenset(SMALL if number < 100 else LARGE for number in numbers)
        inputs = {"x": np.array(numbers)}
        return Job("net", self, inputs, group, kinds, len(numbers), pixels)


def scheduler(rows=4, wait=0.0, threads=1, waiting=99, pixels=1000):
    return Scheduler(BatchLimits(rows, wait, threads, waiting, pixels), Metrics())


async def results(one, graph, *jobs):
    """Of jobs that have all arrived before the first is computed."""
    tasks = [asyncio.create_task(one.run(job)) for job in jobs]
    await asyncio.sleep(0.01)
    graph.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [str(one) if isinstance(one, ServingError) else one["y"].tolist() for one in found]


def test_what_waits_is_joined_up_to_the_limit():
    async def story():
        graph = Graph()
        found = await results(scheduler(), graph, *(graph.job(n) for n in range(7)))
        assert found == [[0], [2], [4], [6], [8], [10], [12]]
        assert graph.calls == [[0], [1, 2, 3, 4], [5, 6]]

    asyncio.run(story())


def test_rows_pixels_and_groups_bound_a_batch():
    async def story():
        graph = Graph()
        jobs = [graph.job(0), graph.job(1, 2, 3), graph.job(4, 5), graph.job(6)]
        assert await results(scheduler(), graph, *jobs) == [[0], [2, 4, 6], [8, 10], [12]]
        assert graph.calls == [[0], [1, 2, 3, 6], [4, 5]]
        graph = Graph()
        jobs = [graph.job(0), graph.job(1, pixels=600), graph.job(2, pixels=600), graph.job(3)]
        await results(scheduler(), graph, *jobs)
        assert graph.calls == [[0], [1, 3], [2]]
        graph = Graph()
        jobs = [graph.job(n, group=group) for n, group in enumerate(("a", "a", "b", "a", None))]
        await results(scheduler(), graph, *jobs)
        assert graph.calls == [[0], [1, 3], [2], [4]]

    asyncio.run(story())


def test_a_job_that_fails_takes_no_other_with_it():
    async def story():
        graph = Graph()
        found = await results(scheduler(), graph, *(graph.job(n) for n in (0, 1, -1, 3)))
        assert found == [[0], [2], "negative", [6]]
        assert graph.calls == [[0], [1, -1, 3], [1], [-1], [3]]

    asyncio.run(story())


def test_images_of_several_kinds_are_joined_where_the_graph_allows_it():
    async def story():
        graph = Graph()
        await results(scheduler(), graph, *(graph.job(n) for n in (0, 1, 101, 2)))
        assert graph.calls == [[0], [1, 101, 2]]

        graph, one = Graph(mixes=False), scheduler()
        found = await results(one, graph, *(graph.job(n) for n in (0, 1, 101, 2)))
        assert found == [[0], [2], [202], [4]]
        graph.calls.clear()
        graph.go.clear()
        found = await results(one, graph, *(graph.job(n) for n in (0, 1, 101, 2)))
        assert found == [[0], [2], [202], [4]]
        assert graph.calls == [[0], [1, 2], [101]]  # it has learnt

    asyncio.run(story())


def test_a_request_with_several_kinds_goes_row_by_row_if_it_has_to():
    async def story():
        graph = Graph(mixes=False)
        assert await results(scheduler(), graph, graph.job(1, 101, 2)) == [[2, 202, 4]]
        assert await results(scheduler(), graph, graph.job(1, 101, -2)) == ["negative"]

    asyncio.run(story())


def test_a_request_of_more_rows_is_computed_in_parts():
    """Else a small request of many images would take all memory."""

    async def story():
        graph = Graph()
        job = graph.job(*range(10))
        assert await results(scheduler(), graph, job) == [[2 * n for n in range(10)]]
        assert graph.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        graph = Graph()
        await results(scheduler(), graph, graph.job(*range(10), group=None))
        assert graph.calls == [[*range(10)]]  # whose rows belong together
        graph = Graph()
        assert await results(scheduler(), graph, graph.job(*range(6), -2)) == ["negative"]

    asyncio.run(story())


def test_who_has_gone_is_not_computed_to_the_end():
    async def story():
        graph = Graph()
        task = asyncio.create_task(scheduler().run(graph.job(*range(10))))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        graph.go.set()
        await asyncio.sleep(0.2)
        assert graph.calls == [[0, 1, 2, 3]]

    asyncio.run(story())


def test_an_idle_server_waits_for_others_if_it_is_told_to():
    async def story():
        graph = Graph()
        graph.go.set()
        one = scheduler(wait=0.3)
        first = asyncio.create_task(one.run(graph.job(1)))
        await asyncio.sleep(0.05)
        assert not graph.calls
        await asyncio.gather(first, *(one.run(graph.job(n)) for n in (2, 3, 4)))
        assert graph.calls == [[1, 2, 3, 4]]  # full, so it need not wait longer
        await one.run(graph.job(5))
        assert graph.calls[1:] == [[5]]

    asyncio.run(story())


def test_a_full_queue_refuses_and_whoever_goes_leaves_it():
    async def story():
        graph, one = Graph(), scheduler(waiting=2)
        tasks = [asyncio.create_task(one.run(graph.job(n))) for n in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(ServingError, match="2 requests wait already"):
            await one.run(graph.job(3))
        tasks[1].cancel()
        await asyncio.sleep(0.01)
        last = asyncio.create_task(one.run(graph.job(4)))
        await asyncio.sleep(0.01)
        graph.go.set()
        await asyncio.gather(tasks[0], tasks[2], last)
        assert graph.calls == [[0], [2, 4]]

    asyncio.run(story())


def test_a_fault_tells_its_place_and_not_its_text():
    def faulty(inputs):
        raise RuntimeError("JOHN DOE")

    async def story():
        job = Job("net", faulty, {"x": np.zeros(1)}, "g")
        with pytest.raises(ServingError) as caught:
            await scheduler().run(job)
        assert str(caught.value) == "Internal error: RuntimeError"
        assert caught.value.code.name == "INTERNAL"
        assert caught.value.cause.startswith("RuntimeError at test_batching.py:")

    asyncio.run(story())
