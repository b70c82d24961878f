import keras
import numpy as np
import pytest
import tensorflow as tf

from tfadvseg import calibration, losses
from tfadvseg.models import Discriminator, TeacherSegmenter, UNet, cutmix, teacher
from tfadvseg.sampling import Views, grid, linear

CLASSES, IGNORED = 3, 255
ALWAYS = (np.array([[0.0, 1.0, 0.0]] * CLASSES), np.zeros(CLASSES), np.ones(CLASSES))


def make(s_rate=0.1, d_rate=0.1, norm="instance", **settings):
    keras.utils.set_random_seed(1)
    segmenter = UNet(CLASSES, 1, base_filters=4, depth=2, norm=norm)
    model = TeacherSegmenter(segmenter, Discriminator(CLASSES, (4, 8)), **settings)
    model.compile(keras.optimizers.SGD(s_rate), keras.optimizers.SGD(d_rate))
    return model


@pytest.fixture
def batch():
    rng = np.random.default_rng(23)
    images, unlabelled = rng.random((2, 16, 16, 1)), rng.random((3, 16, 16, 1))
    masks = rng.integers(0, CLASSES, (2, 16, 16))
    masks[rng.random(masks.shape) < 0.2] = IGNORED
    images, unlabelled = (tf.constant(x, tf.float32) for x in (images, unlabelled))
    points = grid(tf.shape(unlabelled)) + [2.0, -1.0]  # two rows up, one column to the right
    seen = Views(unlabelled, linear(unlabelled, points) ** 2, points)
    return (images, tf.constant(masks, tf.int32)), seen


def step(model, data):
    model.reset_metrics()
    return {name: float(value) for name, value in model.train_step(data).items()}


def weights(network):
    return [variable.numpy() for variable in network.variables]


def same(first, second):
    return all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))


def after_a_step(data, trust=None, network="segmenter", **settings):
    model = make(**settings)
    if trust:
        model.set_trust(*trust)
    model.train_step(data)
    return weights(getattr(model, network))


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_nothing_is_trusted_before_it_is_found_out(norm, batch):
    values = step(make(norm=norm), batch)
    assert values["kept"] == values["semi_loss"] == 0
    for network in ("segmenter", "averaged"):  # nor do batch statistics of unlabelled images count
        alone = after_a_step((batch[0], None), network=network, norm=norm)
        assert same(after_a_step(batch, network=network, norm=norm), alone)


def test_trusted_pseudo_labels_move_s_and_by_their_weight(batch, monkeypatch):
    monkeypatch.setattr(teacher, "DICE", 0.0)
    nothing, half = after_a_step(batch), (*ALWAYS[:2], np.full(CLASSES, 0.5))
    full = after_a_step(batch, ALWAYS, lambda_semi=1.0)
    assert not same(full, nothing)
    assert same(after_a_step(batch, half, lambda_semi=2.0), full)
    assert same(after_a_step(batch, ALWAYS, lambda_semi=1.0, semi_start=9), nothing)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_semi_loss_by_hand(norm, batch):
    """The teacher sees the image; the student it moved and changed, with a piece of the next."""
    model, (labelled, unlabelled) = make(seed=5, norm=norm), batch
    weights_of_classes = np.array([0.25, 1.0, 0.5], np.float32)
    model.set_trust(*ALWAYS[:2], weights_of_classes)
    classes = tf.argmax(model.averaged(unlabelled.plain, training=False), axis=-1).numpy()
    rows, columns = np.arange(16)[:, None], np.arange(16)
    classes = classes[:, np.minimum(rows + 2, 15), np.maximum(columns - 1, 0)]
    box = cutmix.boxes(3, 16, 16, tf.constant([5, 0], tf.int64))
    assert 0 < float(tf.reduce_mean(box)) < 1
    seen = cutmix.pasted(unlabelled.changed, box)
    logits = model.segmenter(seen, training=True)
    expected = cutmix.pasted(tf.constant(classes), box)
    surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(expected, logits)
    counted = tf.gather(weights_of_classes, expected)
    shown = np.isin(np.arange(CLASSES), expected).astype(np.float32)
    dice = losses.trusted_dice(tf.one_hot(expected, CLASSES), logits, tf.ones_like(counted), shown)
    assert float(dice) > 0
    values = step(model, (labelled, unlabelled))
    semi = tf.reduce_mean(counted * surprise) + teacher.DICE * dice
    assert values["semi_loss"] == pytest.approx(float(semi), rel=1e-4)
    assert values["kept"] == 1


def test_kept_of_each_class_is_over_all_of_its_pixels_since_the_epoch_began(batch):
    """Not a mean over the steps: a step with few pixels of a class tells little of it."""
    model, (labelled, seen) = make(s_rate=0.0, d_rate=0.0, averaging=0.9), batch
    thresholds = np.array([0.0, 0.4, np.inf])
    model.set_trust(ALWAYS[0], thresholds, ALWAYS[2])
    kept, pixels = np.zeros(CLASSES), np.zeros(CLASSES)
    model.reset_metrics()
    for images in (seen.plain, seen.plain[:1] * 0.2):
        probabilities = tf.nn.softmax(model.averaged(images, training=False)).numpy()
        classes, sure = probabilities.argmax(-1), probabilities.max(-1)
        seed = tf.constant([0, int(model.optimizer.iterations)], tf.int64)
        box = cutmix.boxes(*classes.shape, seed)
        classes, sure = (cutmix.pasted(tf.constant(x), box).numpy() for x in (classes, sure))
        for index in range(CLASSES):
            kept[index] += np.sum((classes == index) & (sure >= thresholds[index]))
            pixels[index] += np.sum(classes == index)
        here = Views(images, images, grid(tf.shape(images)))
        values = model.train_step((labelled, here))
    assert np.count_nonzero(pixels) > 1
    found = [float(values[f"kept_{index}"]) for index in range(CLASSES)]
    np.testing.assert_allclose(found, kept / np.maximum(pixels, 1), rtol=1e-5)


def test_what_is_trusted_follows_s_and_d(batch, monkeypatch):
    monkeypatch.setattr(cutmix, "boxes", lambda count, h, w, seed: tf.zeros((count, h, w)))
    model = make()
    probabilities = tf.nn.softmax(model.averaged(batch[1].plain, training=False))
    judged = tf.squeeze(model.discriminator(probabilities, training=True), -1)
    coefficients = np.array([[0.1, 0.5, 2.0], [-1, 1, 0.3], [0.2, 0, -1]])
    model.set_trust(coefficients, *ALWAYS[1:])
    found = model.chance_right(probabilities, judged).numpy()
    pixels = calibration.judged(
        probabilities.numpy(), tf.sigmoid(judged).numpy(), np.zeros((3, 16, 16)), IGNORED
    )
    expected = calibration.probability_right(coefficients, pixels)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-4)
    thresholds = np.array([np.median(found), np.inf, 0.0])
    model.set_trust(coefficients, thresholds, ALWAYS[2])
    classes = probabilities.numpy().argmax(-1)
    kept = (found >= thresholds[classes]).mean()
    unmoved = batch[1]._replace(points=grid(tf.shape(batch[1].plain)))
    assert 0 < kept < 1 and step(model, (batch[0], unmoved))["kept"] == pytest.approx(kept)


def test_each_update_moves_its_own_network(batch):
    still = make(s_rate=0.0)
    still.set_trust(*ALWAYS)
    before = weights(still.segmenter), weights(still.averaged), weights(still.discriminator)
    still.train_step(batch)
    assert same(weights(still.segmenter), before[0]) and same(weights(still.averaged), before[1])
    assert not same(weights(still.discriminator), before[2])
    expected = after_a_step(batch, network="discriminator")
    assert same(after_a_step(batch, ALWAYS, "discriminator", lambda_semi=9.0), expected)


def test_d_learns_the_teachers_maps_as_fake(batch):
    model, ((images, masks), unlabelled) = make(), batch
    labels = losses.one_hot(masks, CLASSES, IGNORED)
    valid = losses.valid_pixels(masks, IGNORED)

    def judge(maps):
        return tf.squeeze(model.discriminator(maps, training=True), -1)

    shown = tf.nn.softmax(model.segmenter(images, training=True)) * valid[..., None]
    fakes = [judge(shown)]
    fakes.append(judge(tf.nn.softmax(model.averaged(unlabelled.plain, training=False))))
    counted = tf.concat([valid, tf.ones_like(fakes[1])], 0)
    expected = losses.discriminator(judge(labels), tf.concat(fakes, 0), valid, counted)
    assert step(model, batch)["d_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_d_waits_while_it_knows_enough(batch, monkeypatch):
    model = make(seed=1)
    before, first = weights(model.discriminator), step(model, batch)
    assert first["d_learns"] == 1 and not same(weights(model.discriminator), before)
    monkeypatch.setattr(teacher, "ENOUGH", first["d_loss"] + 1)
    before, own = weights(model.discriminator), weights(model.segmenter)
    assert step(model, batch)["d_learns"] == 0
    assert same(weights(model.discriminator), before) and not same(weights(model.segmenter), own)
    # Else its learning rate would be that of an earlier step when it goes on.
    assert int(model.discriminator_optimizer.iterations) == int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_a_loaded_model_goes_on_exactly_as_the_saved_one(norm, batch, tmp_path):
    model = make(norm=norm, seed=3)
    model.set_trust(*ALWAYS)
    step(model, batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert step(model, batch) == step(loaded, batch)
    for name in ("segmenter", "averaged", "discriminator"):
        assert same(weights(getattr(model, name)), weights(getattr(loaded, name)))
    assert loaded.get_config() == model.get_config()
