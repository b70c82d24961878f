"""What requests may hold together, in process."""

import asyncio
import threading

import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.inference.engines.signature import Signature
from tfadvseg.serving.batching import BatchLimits, Scheduler
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.servable import Servable
from tfadvseg.serving.service import BODIES, Query, RequestLimits, Service
from tfadvseg.serving.status import ServingError

BYTES = 4000
SPECS = {"x": tf.TensorSpec([None], tf.float32)}


def test_tensors_of_one_repeated_value_count_as_what_they_fill():
    go = threading.Event()

    def call(arrays):
        go.wait(10)
        return arrays

    async def story():
        metrics = Metrics()
        scheduler = Scheduler(BatchLimits(1000, 0.0, 1, 99, 99), metrics)
        service = Service(None, scheduler, RequestLimits(BYTES, 99), metrics)
        servable = Servable("net", 1, signatures={"serving_default": Signature(SPECS, SPECS, call)})
        held = [asyncio.create_task(ask(service, servable)) for _ in range(BODIES)]
        await asyncio.sleep(0.01)
        with pytest.raises(ServingError, match="too many large requests"):
            await ask(service, servable)
        go.set()
        await asyncio.gather(*held)
        await ask(service, servable)  # they gave back what they held

    asyncio.run(story())


async def ask(service, servable):
    """A request of 20 bytes for a tensor of BYTES."""
    tensor = np.ones(BYTES // 4, np.float32)
    record = service.record("GRPC", None)
    with service.recorded(record):
        record.receive(20)
        await service.ask(servable, Query(None, "", lambda _: {"x": tensor}), record)


@pytest.mark.parametrize(
    ("seconds", "status"), [(None, "CANCELLED"), (60, "CANCELLED"), (0.01, "DEADLINE_EXCEEDED")]
)
def test_a_client_that_hangs_up_as_its_deadline_passes_is_late(seconds, status):
    metrics = Metrics()
    service = Service(None, None, RequestLimits(BYTES, 99), metrics)
    with pytest.raises(asyncio.CancelledError), service.recorded(service.record("GRPC", seconds)):
        raise asyncio.CancelledError
    assert f'status="{status}",version=""}} 1.0'.encode() in metrics.page()
