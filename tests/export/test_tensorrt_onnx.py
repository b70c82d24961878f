"""The ONNX for TensorRT: what its parser takes, and the precision that is typed into it."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tfadvseg.building import build_model  # noqa: E402
from tfadvseg.errors import ExportError, InputError  # noqa: E402
from tfadvseg.export.samples import sample_slices  # noqa: E402
from tfadvseg.export.tensorrt_onnx import quantise, to_tensorrt_onnx  # noqa: E402
from tfadvseg.export.tensorrt_operators import check_operators  # noqa: E402
from tfadvseg.inference.predictor import Predictor  # noqa: E402
from tfadvseg.run_folder import RunFolder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:np.object")


def answers(model, **inputs):
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def images(*shape):
    return np.random.default_rng(5).integers(0, 256, shape).astype(np.float32)


@pytest.fixture(scope="module")
def make_predictor(run):
    """The run's configuration with changes, and networks of their first weights."""

    def make(**settings):
        config = RunFolder(run).read_config().replace(**settings)
        return Predictor(build_model(config), config)

    return make


@pytest.fixture(scope="module")
def percentiles(make_predictor):
    """A predictor that looks for percentiles in what it crops, and its model."""
    changes = {"window": "percentile", "norm": "batch", "crop": 40, "upsampling": "bilinear"}
    predictor = make_predictor(**changes)
    return predictor, to_tensorrt_onnx(predictor, confidence=True)


@pytest.fixture(scope="module")
def by_channel(make_predictor):
    """A predictor that looks for the percentiles of two channels, and its model."""
    changes = {"window": "percentile-by-channel", "channels": 2, "norm": "batch"}
    predictor = make_predictor(**changes)
    return predictor, to_tensorrt_onnx(predictor, confidence=True)


@pytest.fixture(scope="module")
def half(make_predictor):
    """A predictor that takes a pixel size, and its model of 16 bits."""
    predictor = make_predictor(window=(20, 200), norm="instance", spacing_mm=0.8)
    return predictor, to_tensorrt_onnx(predictor, confidence=True, fp16=True)


@pytest.mark.parametrize(
    ("name", "limit"), [("percentiles", 1e-4), ("by_channel", 1e-4), ("half", 0.05)]
)
def test_every_chain_is_one_that_tensorrt_takes_and_says_the_same(request, name, limit):
    predictor, model = request.getfixturevalue(name)
    onnx.checker.check_model(model, full_check=True)
    check_operators(model)
    spacing = (0.7, 0.9) if name == "half" else None
    inputs = {"spacing_mm": np.array(spacing, np.float32)} if spacing else {}
    channels = predictor.config.channels
    batch = images(3, 50, 37, channels) * np.array([1, 40][:channels], np.float32)
    answer, expected = answers(model, images=batch, **inputs), predictor(batch, spacing)
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=limit)
    np.testing.assert_allclose(answer["confidence"], expected.confidence, atol=limit)
    assert answer["mask"].dtype == np.uint8 and np.mean(answer["mask"] != expected.masks) < limit


@pytest.mark.parametrize("window", ["percentile", "minmax"])
def test_a_window_that_the_pixel_size_decides_is_refused(make_predictor, window):
    predictor = make_predictor(window=window, spacing_mm=0.8)
    with pytest.raises(InputError, match=f"spacing_mm and window {window}.* window of two values"):
        to_tensorrt_onnx(predictor, confidence=False)


def test_half_precision_is_typed_into_all_convolutions_but_those_of_logits(half):
    """A strongly typed network computes an operator in the type of its tensors."""
    _, model = half
    kinds = {one.name: one.data_type for one in model.graph.initializer}
    layers = [node.input[1:] for node in model.graph.node if node.op_type.startswith("Conv")]
    typed = [{kinds[name] for name in names} for names in layers]
    logits = 2  # of the segmenter and of the discriminator
    assert typed.count({TensorProto.FLOAT}) == logits
    assert typed.count({TensorProto.FLOAT16}) == len(layers) - logits > 10
    outputs = {one.name: one.type.tensor_type.elem_type for one in model.graph.output}
    assert outputs["probabilities"] == TensorProto.FLOAT and outputs["mask"] == TensorProto.UINT8


@pytest.fixture(scope="module")
def eight_bits(trained_run, tensorrt_onnx):
    """The model with 32 bits and with 8."""
    inputs = [sample.inputs(False) for sample in sample_slices(trained_run)]
    return tensorrt_onnx, quantise(tensorrt_onnx, inputs)


def test_eight_bits_are_symmetric_with_a_scale_per_channel(eight_bits):
    model, quantised = eight_bits
    onnx.checker.check_model(quantised, full_check=True)
    check_operators(quantised)  # zero points of 0
    makers = {name: node for node in quantised.graph.node for name in node.output}
    constants = {one.name: one for one in quantised.graph.initializer}
    convolutions = [node for node in quantised.graph.node if node.op_type.startswith("Conv")]
    assert {node.op_type for node in convolutions} == {"Conv", "ConvTranspose"}
    for node in convolutions:
        for name, axis in zip(node.input[:2], (None, node.op_type == "ConvTranspose"), strict=True):
            back = makers[name]
            forth = makers[back.input[0]]
            assert (forth.op_type, back.op_type) == ("QuantizeLinear", "DequantizeLinear")
            scale = numpy_helper.to_array(constants[forth.input[1]])
            assert scale.size == 1 or axis is not None
            if axis is not None:
                weights = numpy_helper.to_array(constants[forth.input[0]])
                assert scale.shape == (weights.shape[axis],)
                (found,) = (a.i for a in forth.attribute if a.name == "axis")
                assert found == axis
        assert node.input[2:] == [] or constants[node.input[2]].data_type == TensorProto.FLOAT
    others = {node.op_type for node in quantised.graph.node} - {
        node.op_type for node in model.graph.node
    }
    assert others == {"QuantizeLinear", "DequantizeLinear"}


def test_eight_bits_say_nearly_the_same(trained_run, eight_bits):
    predictor = Predictor.load(trained_run)
    for sample in sample_slices(trained_run):
        expected = predictor(sample.voxels[np.newaxis])
        answer = answers(eight_bits[1], **sample.inputs(False))
        assert 0 < np.abs(answer["probabilities"] - expected.probabilities).max() < 0.3
        assert np.mean(answer["mask"] != expected.masks) < 0.01 and expected.masks.any()


def test_the_discriminator_keeps_its_bits(percentiles):
    predictor, model = percentiles
    quantised = quantise(model, [{"images": images(1, 48, 48, 1)}])
    makers = {name: node for node in quantised.graph.node for name in node.output}
    plain = [
        node
        for node in quantised.graph.node
        if node.op_type == "Conv" and makers[node.input[0]].op_type != "DequantizeLinear"
    ]
    layers = len(predictor.config.discriminator_filters) + 1
    assert len(plain) == layers


def graph_of(*nodes, constants=(), kind=TensorProto.FLOAT):
    """A graph of nodes from `x` to `y`."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    kept = [numpy_helper.from_array(np.array(value), name) for name, value in constants]
    return helper.make_model(helper.make_graph(list(nodes), "g", inputs, outputs, kept))


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ("operator NonZero", graph_of(helper.make_node("NonZero", ["x"], ["y"]))),
        (  # as percentiles by sorting become
            "operator TopK",
            graph_of(helper.make_node("TopK", ["x", "k"], ["y", "i"]), constants=[("k", [2])]),
        ),
        (  # as a mask becomes
            "UINT8 that is not an output made from FLOAT",
            graph_of(
                helper.make_node("ArgMax", ["x"], ["a"]),
                helper.make_node("Cast", ["a"], ["y"], to=TensorProto.UINT8),
                kind=TensorProto.UINT8,
            ),
        ),
        (
            "Slice to a size that the values of x say",
            graph_of(
                helper.make_node("Cast", ["x"], ["e"], to=TensorProto.INT64),
                helper.make_node("Slice", ["x", "e", "e", "a"], ["y"]),
                constants=[("a", [0])],
            ),
        ),
        (
            "operator com.microsoft:Gelu",
            graph_of(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")),
        ),
        (
            "Cast to DOUBLE",
            graph_of(helper.make_node("Cast", ["x"], ["y"], to=TensorProto.DOUBLE)),
        ),
        (
            "UINT8 that is not an output",
            graph_of(
                helper.make_node("Cast", ["x"], ["a"], to=TensorProto.UINT8),
                helper.make_node("Identity", ["a"], ["y"]),
            ),
        ),
        (
            "constants of type DOUBLE",
            graph_of(helper.make_node("Identity", ["x"], ["y"]), constants=[("c", 1.5)]),
        ),
        (
            "ReduceSum over axes that are not constant",
            graph_of(
                helper.make_node("Shape", ["x"], ["s"]),
                helper.make_node("ReduceSum", ["x", "s"], ["y"]),
            ),
        ),
        (
            "Resize of mode cubic",
            graph_of(helper.make_node("Resize", ["x"], ["y"], mode="cubic")),
        ),
        (
            "Resize by tf_crop_and_resize",
            graph_of(
                helper.make_node(
                    "Resize",
                    ["x"],
                    ["y"],
                    mode="linear",
                    coordinate_transformation_mode="tf_crop_and_resize",
                )
            ),
        ),
        (
            "QuantizeLinear with a zero point other than 0",
            graph_of(
                helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"]),
                constants=[("s", np.float32(1)), ("z", np.int8(3))],
            ),
        ),
        (
            "QuantizeLinear without a constant zero point of INT8",
            graph_of(
                helper.make_node("QuantizeLinear", ["x", "s"], ["y"]),
                constants=[("s", np.float32(1))],
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_tensorrt_does_not_take_is_named(words, model):
    with pytest.raises(ExportError, match=words):
        check_operators(model)
