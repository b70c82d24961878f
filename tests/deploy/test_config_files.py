"""The three files of TensorFlow Serving, by its own messages."""

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,  # noqa: F401  known to the pool
)
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tfadvseg.export.server_files import write_samples
from tfadvseg.serving.batching_file import read_batching_parameters

# tensorflow-serving-api does not ship these two: tensorflow_serving/config/monitoring_config.proto
# and tensorflow_serving/servables/tensorflow/session_bundle_config.proto, release 2.20.0.
MESSAGES = {
    "PrometheusConfig": [("enable", 1, "bool"), ("path", 2, "string")],
    "MonitoringConfig": [("prometheus_config", 1, ".serving.PrometheusConfig")],
    "BatchingParameters": [
        ("max_batch_size", 1, ".google.protobuf.Int64Value"),
        ("batch_timeout_micros", 2, ".google.protobuf.Int64Value"),
        ("max_enqueued_batches", 3, ".google.protobuf.Int64Value"),
        ("num_batch_threads", 4, ".google.protobuf.Int64Value"),
        ("thread_pool_name", 5, ".google.protobuf.StringValue"),
        ("allowed_batch_sizes", 6, "int64"),
        ("pad_variable_length_inputs", 7, "bool"),
        ("enable_large_batch_splitting", 8, ".google.protobuf.BoolValue"),
        ("max_execution_batch_size", 9, ".google.protobuf.Int64Value"),
    ],
}
FILES = {
    "models": ModelServerConfig,
    "batching": "BatchingParameters",
    "monitoring": "MonitoringConfig",
}


@pytest.fixture(scope="module")
def messages():
    """The messages above as classes."""
    file = descriptor_pb2.FileDescriptorProto(
        name="serving.proto", package="serving", syntax="proto3"
    )
    file.dependency.append("google/protobuf/wrappers.proto")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            label = kinds.LABEL_REPEATED if field.endswith("_sizes") else kinds.LABEL_OPTIONAL
            one = message.field.add(name=field, number=number, label=label)
            if kind.startswith("."):
                one.type, one.type_name = kinds.TYPE_MESSAGE, kind
            else:
                one.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"serving.{name}"))
        for name in MESSAGES
    }


@pytest.fixture
def parse(deploy, messages):
    """Reads a file of config/ as the server would."""

    def one(kind):
        message = FILES[kind] if kind == "models" else messages[FILES[kind]]
        return text_format.Parse((deploy / "config" / f"{kind}.config").read_text(), message())

    return one


def test_models_lie_where_the_volume_is_mounted(parse):
    (model,) = parse("models").model_config_list.config
    assert (model.name, model.base_path) == ("heart", "/models/heart")
    assert model.model_platform == "tensorflow"


def test_batching_is_bounded_and_the_embedded_server_reads_the_same(parse, deploy):
    batching = parse("batching")
    values = {field.name: value.value for field, value in batching.ListFields()}
    assert values == read_batching_parameters(deploy / "config" / "batching.config")
    assert values["max_enqueued_batches"] > 0 and values["max_batch_size"] > 0


def test_metrics_are_shown_where_they_are_scraped(parse):
    prometheus = parse("monitoring").prometheus_config
    assert prometheus.enable
    assert prometheus.path == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize("kind", FILES)
def test_files_are_those_of_an_export(kind, deploy, tmp_path):
    write_samples(tmp_path, "heart")
    name = f"{kind}.config"
    assert (deploy / "config" / name).read_text() == (tmp_path / name).read_text()


def test_snippets_of_the_page_are_understood(readme):
    snippets = readme.blocks("textproto")
    assert len(snippets) == 2
    for snippet in snippets:
        (model,) = text_format.Parse(snippet, ModelServerConfig()).model_config_list.config
        versions = model.model_version_policy.specific.versions
        assert set(model.version_labels.values()) <= set(versions)
