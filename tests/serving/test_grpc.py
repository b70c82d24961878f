"""The stubs of tensorflow-serving-api against a real server."""

import cv2
import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    model_management_pb2,
    regression_pb2,
)


def test_predict_answers_as_the_model_in_process(client, request_of, picture):
    images = picture((2, 9, 7, 1)).astype(np.float32)
    response = client.stub.Predict(request_of(images=images), 60)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("net", 1, "serving_default")
    outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    assert outputs["mask"].dtype == np.int32 and outputs["probabilities"].dtype == np.float32
    np.testing.assert_array_equal(outputs["mask"], images[..., 0] > 128)
    np.testing.assert_array_equal(outputs["probabilities"][..., 1], images[..., 0] > 128)
    # clients in other languages read the field of the type
    assert len(response.outputs["probabilities"].float_val) == images.size * 2


def test_encoded_images(client, picture, png):
    image = picture((30, 20))
    (content,) = client.predict("image_bytes", image_bytes=[png(image)])["mask_bytes"]
    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, image > 128)


def test_images_of_several_sizes_in_one_request(client, picture, png):
    sizes = [(8, 8), (5, 9), (8, 8)]
    images = [picture(size, seed) for seed, size in enumerate(sizes)]
    contents = client.predict("image_bytes", image_bytes=[png(image) for image in images])
    assert len(contents["mask_bytes"]) == 3
    for content, image in zip(contents["mask_bytes"], images, strict=True):
        mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, image > 128)


def test_several_inputs_and_the_output_filter(client, request_of):
    request = request_of("pairs", a=np.array([1, 2]), b=[b"x", b"\xff"])
    request.output_filter.extend(["text"])
    response = client.stub.Predict(request, 60)
    assert list(response.outputs) == ["text"]
    assert list(response.outputs["text"].string_val) == [b"x!", b"\xff!"]
    request.output_filter.extend(["text"])
    assert client.refused(request)[0] == "INVALID_ARGUMENT"
    request.output_filter[1] = "other"
    code, text = client.refused(request)
    assert code == "INVALID_ARGUMENT" and "set {a,raw_bytes,text}" in text


def test_fields_and_content_are_both_read(client, request_of):
    request = request_of(images=np.zeros((1, 2, 2, 1), np.float32))
    proto = request.inputs["images"]
    proto.ClearField("tensor_content")
    proto.float_val.append(200.0)  # one value for all, as TensorFlow has it
    response = client.stub.Predict(request, 60)
    assert list(response.outputs["mask"].int_val) == [1, 1, 1, 1]


def test_metadata(client):
    spec, definitions = client.definitions()
    assert (spec.name, spec.version.value) == ("net", 1)
    assert set(definitions) == {"serving_default", "image_bytes", "held", "pairs"}
    image = definitions["image_bytes"]
    assert image.method_name == "tensorflow/serving/predict"
    assert image.inputs["image_bytes"].dtype == tf.string.as_datatype_enum
    assert [dim.size for dim in image.inputs["image_bytes"].tensor_shape.dim] == [-1]
    assert image.inputs["image_bytes"].name == "image_bytes_image_bytes:0"
    shape = definitions["serving_default"].inputs["images"].tensor_shape
    assert [dim.size for dim in shape.dim] == [-1, -1, -1, 1]
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["weights"])
    request.model_spec.name = "net"
    assert client.refused(request, "GetModelMetadata")[0] == "INVALID_ARGUMENT"


def test_status(client):
    assert client.state(1) == ("AVAILABLE", "")
    with pytest.raises(grpc.RpcError) as caught:
        client.state(1, "other")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "Could not find any versions of model other"


def test_calls_that_are_not_served_say_so(client):
    for call, request in (
        ("Classify", classification_pb2.ClassificationRequest()),
        ("Regress", regression_pb2.RegressionRequest()),
        ("MultiInference", inference_pb2.MultiInferenceRequest()),
    ):
        expected = ("UNIMPLEMENTED", f"{call} is not served; use Predict")
        assert client.refused(request, call) == expected
    with pytest.raises(grpc.RpcError) as caught:
        client.models.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), 10)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["", "tensorflow.serving.PredictionService"])
def test_health(client, service, eventually):
    stub = health_pb2_grpc.HealthStub(client.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    eventually(lambda: stub.Check(request, timeout=10).status == 1)  # SERVING
