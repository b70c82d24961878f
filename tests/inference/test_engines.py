"""The same small model in all engines."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.inference.engines import loader, release
from tfadvseg.inference.engines.signature import INVALID_ARGUMENT, GraphRefusal

SHAPE = [None, None, None, 1]

# tf2onnx and OpenVINO's converter warn of their own dependencies; the engines need neither.
CONVERT = """
import sys
from pathlib import Path
saved, target, engine = sys.argv[1:]
Path(target).mkdir(parents=True)
if engine == "openvino":
    import openvino
    openvino.save_model(openvino.convert_model(saved), target + "/model.xml", False)
else:
    import tensorflow as tf, tf2onnx
    model = tf.saved_model.load(saved)
    function = model.signatures["serving_default"]
    names = sorted(function.structured_outputs)
    flat = tf.function(lambda images: {name: function(images=images)[name] for name in names})
    spec = [tf.TensorSpec([None, None, None, 1], tf.float32, name="images")]
    tf2onnx.convert.from_function(flat, spec, opset=17, output_path=target + "/model.onnx")
"""


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(0).normal(size=(3, 3, 1, 2))
        self.kernel = tf.Variable(weights, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec(SHAPE, tf.float32, name="images")])
    def predict(self, images):
        probabilities = tf.nn.softmax(tf.nn.conv2d(images, self.kernel, 1, "SAME"))
        mask = tf.argmax(probabilities, -1, tf.int32)
        return {"probabilities": probabilities, "mask": mask}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder, net = tmp_path_factory.mktemp("engines") / "tensorflow" / "1", Net()
    tf.saved_model.save(net, str(folder), {"serving_default": net.predict})
    return folder


@pytest.fixture(scope="module", params=["tensorflow", "onnxruntime", "openvino"])
def signature(request, saved):
    engine, folder = request.param, saved
    if engine != "tensorflow":
        pytest.importorskip(engine)
        pytest.importorskip("tf2onnx" if engine == "onnxruntime" else "openvino")
        folder = saved.parent.parent / engine / "1"
        command = [sys.executable, "-c", CONVERT, str(saved), str(folder), engine]
        subprocess.run(command, check=True, capture_output=True)
    return loader(engine)(folder)["serving_default"]


def test_specs(signature):
    assert signature.takes_batches
    assert signature.inputs["images"].shape.as_list() == SHAPE
    assert signature.inputs["images"].dtype == tf.float32
    assert set(signature.outputs) == {"probabilities", "mask"}
    assert signature.outputs["mask"].dtype in (tf.int32, tf.int64)
    assert list(signature.definition().inputs) == ["images"]


def test_outputs_are_those_of_tensorflow(signature, saved):
    images = np.random.default_rng(1).normal(size=(2, 9, 14, 1)).astype(np.float32)
    expected = tf.saved_model.load(str(saved)).signatures["serving_default"](
        images=tf.constant(images)
    )
    outputs = signature.call({"images": images})
    np.testing.assert_allclose(outputs["probabilities"], expected["probabilities"], atol=1e-5)
    assert np.mean(outputs["mask"] == expected["mask"].numpy()) > 0.99
    again = signature.call({"images": -images})
    assert not np.array_equal(again["mask"], outputs["mask"])  # results are not views of one place


def test_tensorflow_tells_what_the_graph_refuses(tmp_path):
    class Refusing(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
        def decode(self, x):
            return {"y": tf.io.decode_png(x[0])}

    model = Refusing()
    tf.saved_model.save(model, str(tmp_path / "1"), {"serving_default": model.decode})
    signature = loader("tensorflow")(tmp_path / "1")["serving_default"]
    with pytest.raises(GraphRefusal) as caught:
        signature.call({"x": np.array([b"no image"], object)})
    text = str(caught.value)
    assert caught.value.code == INVALID_ARGUMENT
    assert "image" in text and "\n" not in text and "node" not in text and "Op:" not in text


def test_a_saved_model_without_signatures_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(ValueError, match="no signature"):
        loader("tensorflow")(tmp_path / "1")


def test_a_release_is_the_name_of_a_folder():
    pytest.importorskip("openvino")
    assert "/" not in release("openvino")
