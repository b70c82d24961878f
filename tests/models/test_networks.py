import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.models import AttentionUNet, Discriminator, UNet
from tfadvseg.models.layers import CropLike, Enlarge, PadToMultiple, normalisation

TINY = {"base_filters": 4, "depth": 2}
SEGMENTERS = [UNet, AttentionUNet]


@pytest.fixture
def rng():
    keras.utils.set_random_seed(3)
    return np.random.default_rng(3)


def scramble(network, rng):
    """Gives every variable (moving averages too) a value that no initializer gives."""
    for variable in network.variables:
        variable.assign(rng.uniform(0.2, 0.6, variable.shape))


def layer_output(network, name):
    return keras.Model(network.input, network.get_layer(name).output)


def saved_and_loaded(network, folder):
    network.save(folder / "network.keras")
    return keras.saving.load_model(folder / "network.keras")


# === UNet and AttentionUNet ===


@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
@pytest.mark.parametrize("norm", ["instance", "group", "batch"])
@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_logits_have_the_size_of_an_image_of_any_size(rng, segmenter, norm, upsampling):
    channels, classes = (1, 5) if upsampling == "bilinear" else (3, 2)
    network = segmenter(classes, channels, norm=norm, upsampling=upsampling, **TINY)
    for height, width in [(37, 50), (5, 7), (1, 1), (16, 8)]:
        image = rng.random((2, height, width, channels), np.float32)
        logits = network(image, training=False)
        assert logits.shape == (2, height, width, classes)
        assert logits.dtype == "float32"
        assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("segmenter", "norm", "upsampling"),
    [
        (UNet, "batch", "bilinear"),
        (UNet, "group", "transposed"),
        (AttentionUNet, "batch", "transposed"),
        (AttentionUNet, "instance", "bilinear"),
    ],
)
def test_segmenter_survives_saving(rng, tmp_path, segmenter, norm, upsampling):
    network = segmenter(3, 2, norm=norm, upsampling=upsampling, name="mine", **TINY)
    scramble(network, rng)
    loaded = saved_and_loaded(network, tmp_path)
    assert type(loaded) is type(network)
    assert loaded.get_config() == network.get_config()
    assert loaded.get_config() == {
        "num_classes": 3,
        "channels": 2,
        "norm": norm,
        "upsampling": upsampling,
        "name": "mine",
        **TINY,
    }
    image = rng.random((1, 9, 10, 2), np.float32)
    np.testing.assert_array_equal(loaded(image, training=False), network(image, training=False))


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_depth_and_base_filters_shape_the_network(rng, segmenter):
    network = segmenter(2, base_filters=4, depth=3)
    image = np.zeros((1, 16, 24, 1), np.float32)
    bottom = layer_output(network, "bottom_relu2")(image, training=False)
    assert bottom.shape == (1, 16 // 2**3, 24 // 2**3, 4 * 2**3)


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_an_odd_size_equals_the_image_padded_by_hand(rng, segmenter):
    network = segmenter(3, 1, **TINY)
    image = rng.random((1, 5, 7, 1), np.float32)
    padded = np.pad(image, ((0, 0), (0, 3), (0, 1), (0, 0)))
    expected = network(padded, training=False)[:, :5, :7]
    np.testing.assert_array_equal(network(image, training=False), expected)


def test_padding_leaves_a_divisible_size_as_it_is(rng):
    network = UNet(2, 1, **TINY)
    image = rng.random((1, 8, 12, 1), np.float32)
    np.testing.assert_array_equal(layer_output(network, "pad")(image), image)


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_only_batch_norm_keeps_statistics_and_mixes_the_samples(rng, segmenter):
    images = rng.random((2, 8, 8, 1), np.float32)
    for norm in ("instance", "group", "batch"):
        network = segmenter(2, 1, norm=norm, **TINY)
        assert bool(network.non_trainable_variables) == (norm == "batch")
        together = network(images, training=True)
        alone = network(images[:1], training=True)
        assert np.allclose(together[:1], alone, atol=1e-5) == (norm != "batch")


@pytest.mark.parametrize("segmenter", SEGMENTERS)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_classes": 1}, "num_classes: expected at least 2, received 1"),
        ({"norm": "layer"}, "norm: expected batch, instance or group, received 'layer'"),
        ({"upsampling": "nearest"}, "upsampling: expected transposed or bilinear, received 'near"),
    ],
)
def test_segmenter_refuses_wrong_arguments(segmenter, wrong, message):
    with pytest.raises(ValueError, match=message):
        segmenter(**{"num_classes": 2, **TINY, **wrong})


# === The gate of AttentionUNet ===


def test_gate_multiplies_the_skip_by_coefficients_between_0_and_1(rng):
    network = AttentionUNet(2, 1, **TINY)
    image = rng.random((2, 8, 12, 1), np.float32)
    for level in range(2):
        names = [f"down{level}_relu2", f"up{level}_gate_alpha", f"up{level}_gate"]
        skip, alpha, gated = (layer_output(network, n)(image, training=False) for n in names)
        assert alpha.shape == (*skip.shape[:3], 1)
        assert 0 <= np.min(alpha) < np.max(alpha) <= 1
        np.testing.assert_allclose(gated, skip * alpha, rtol=1e-6)


def test_open_gates_make_a_unet_and_closed_ones_cut_the_skips(rng):
    gated, plain = AttentionUNet(3, 1, **TINY), UNet(3, 1, **TINY)
    for layer in plain.layers:
        layer.set_weights(gated.get_layer(layer.name).get_weights())
    image = rng.random((1, 8, 8, 1), np.float32)
    bias = [gated.get_layer(f"up{level}_gate_psi").bias for level in range(2)]
    for b in bias:
        b.assign([50.0])
    np.testing.assert_allclose(gated(image), plain(image), atol=1e-5)
    for b in bias:
        b.assign([-50.0])
    for level in range(2):
        closed = layer_output(gated, f"up{level}_gate")(image)
        np.testing.assert_allclose(closed, np.zeros_like(closed), atol=1e-12)
    assert not np.allclose(gated(image), plain(image), atol=1e-3)


def test_gradient_reaches_the_weights_of_the_gate(rng):
    network = AttentionUNet(2, 1, **TINY)
    kernels = [w for w in network.trainable_variables if "_gate_" in w.path and "kernel" in w.path]
    assert len(kernels) == 3 * 2  # theta, phi and psi, a level
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(network(rng.random((1, 8, 8, 1), np.float32))[..., 0] ** 2)
    for gradient in tape.gradient(value, kernels):
        assert np.abs(gradient).max() > 0


# === Discriminator ===


def test_default_discriminator_is_the_papers():
    network = Discriminator(3)
    kinds = {type(layer) for layer in network.layers}
    assert kinds == {
        keras.layers.InputLayer,
        keras.layers.Conv2D,
        keras.layers.LeakyReLU,
        Enlarge,
        CropLike,
    }
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    assert [x.filters for x in convolutions] == [64, 128, 256, 512, 512, 1]
    assert {x.kernel_size for x in convolutions} == {(4, 4)}
    assert {x.strides for x in convolutions} == {(2, 2)}
    assert {x.activation for x in convolutions} == {keras.activations.linear}
    slopes = [x.negative_slope for x in network.layers if isinstance(x, keras.layers.LeakyReLU)]
    assert slopes == pytest.approx([0.2] * 5)
    assert network.reduction == 64
    coarse = layer_output(network, "conv6")(np.zeros((1, 128, 64, 3), np.float32))
    assert coarse.shape == (1, 2, 1, 1)


@pytest.mark.parametrize("size", [(37, 50), (5, 7), (1, 1), (64, 32)])
def test_confidence_map_has_the_size_of_the_class_map(rng, size):
    logits = Discriminator(3, (4, 8))(rng.random((2, *size, 3), np.float32), training=False)
    assert logits.shape == (2, *size, 1)
    assert logits.dtype == "float32"


def test_confidence_map_is_brought_back_bilinearly(rng):
    network = Discriminator(2, (4,))
    class_map = rng.random((1, 12, 20, 2), np.float32)
    coarse = layer_output(network, "conv2")(class_map)
    expected = tf.image.resize(coarse, (12, 20), method="bilinear")
    np.testing.assert_allclose(network(class_map), expected, rtol=1e-6)


def test_values_of_the_map_lie_where_they_were_found(rng):
    """The last of each line stands for 4 pixels, of which the image has 2."""
    network = Discriminator(2, (4,))
    class_map = rng.random((1, 10, 14, 2), np.float32)
    coarse = layer_output(network, "conv2")(class_map)
    expected = tf.image.resize(coarse, (12, 16), method="bilinear")[:, :10, :14]
    np.testing.assert_allclose(network(class_map), expected, rtol=1e-6)


def test_strides_are_those_of_each_layer_the_last_included(rng):
    network = Discriminator(2, (4, 8), strides=(2, 1, 3))
    assert [network.get_layer(f"conv{i}").strides for i in (1, 2, 3)] == [(2, 2), (1, 1), (3, 3)]
    assert network.reduction == 6
    coarse = layer_output(network, "conv3")(np.zeros((1, 12, 24, 2), np.float32))
    assert coarse.shape == (1, 2, 4, 1)


@pytest.mark.parametrize("strides", [(2, 2), (2, 2, 2, 2), ()])
def test_discriminator_refuses_strides_that_do_not_fit_its_layers(strides):
    with pytest.raises(ValueError, match=f"strides: expected 3.*received {len(strides)}"):
        Discriminator(2, (4, 8), strides=strides)


def test_constrained_kernels_have_spectral_norm_1(rng):
    network = Discriminator(3, (4, 8), spectral_norm=True)
    scramble(network, rng)
    for _ in range(20):  # one power iteration each
        network.constrain()
    for name in ("conv1", "conv2", "conv3"):
        kernel = network.get_layer(name).kernel.numpy()
        largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
        assert largest == pytest.approx(1, abs=1e-4)


def test_unconstrained_kernels_stay_as_they_are(rng):
    network = Discriminator(3, (4, 8))
    scramble(network, rng)
    before = network.get_weights()
    network.constrain()
    for ours, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("strides", [2, (2, 1, 2)])
def test_discriminator_survives_saving(rng, tmp_path, strides, spectral_norm):
    settings = {"strides": strides, "spectral_norm": spectral_norm}
    network = Discriminator(3, (4, 8), **settings, name="judge")
    scramble(network, rng)
    loaded = saved_and_loaded(network, tmp_path)
    assert type(loaded) is Discriminator
    assert loaded.get_config() == network.get_config()
    assert (loaded.filters, loaded.reduction) == (network.filters, network.reduction)
    class_map = rng.random((1, 9, 10, 3), np.float32)
    np.testing.assert_array_equal(loaded(class_map), network(class_map))


# === Layers ===


def test_padding_adds_zeros_at_the_bottom_and_the_right(rng):
    image = rng.random((1, 5, 8, 2), np.float32)
    padded = PadToMultiple(4)(image)
    np.testing.assert_array_equal(padded, np.pad(image, ((0, 0), (0, 3), (0, 0), (0, 0))))
    np.testing.assert_array_equal(CropLike()(padded, image), image)


def test_instance_norm_standardises_every_channel_of_every_image(rng):
    x = rng.normal(3, 2, (2, 6, 5, 4)).astype(np.float32)
    expected = (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)
    np.testing.assert_allclose(normalisation("instance", 4, "n")(x), expected, atol=1e-2)


def test_moving_averages_of_batch_norm_soon_forget_their_start(rng):
    """After 30 steps 4 % of 0 and 1 is left; Keras's momentum would leave 74 %."""
    layer = normalisation("batch", 1, "norm")
    for _ in range(30):
        layer(rng.normal(7.0, 3.0, (8, 16, 16, 1)), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(7.0, abs=0.5)
    assert float(layer.moving_variance[0]) == pytest.approx(9.0, abs=0.8)


@pytest.mark.parametrize(("filters", "groups"), [(4, 1), (8, 1), (32, 4), (11, 1), (36, 4)])
def test_group_norm_has_groups_of_about_8_channels_that_divide_the_filters(filters, groups):
    layer = normalisation("group", filters, "n")
    assert layer.groups == groups
    assert filters % layer.groups == 0
