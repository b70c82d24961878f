import numpy as np
import pytest
import tensorflow as tf

from tfadvseg import losses

IGNORED = 255


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def batch(rng):
    """Logits (2, 4, 5, 3), masks with ignored pixels, and logits of D for maps and predictions."""
    mask = rng.integers(0, 3, (2, 4, 5))
    mask[rng.random(mask.shape) < 0.3] = IGNORED
    draw = lambda *shape: rng.normal(0, 2, shape).astype(np.float32)  # noqa: E731
    return draw(2, 4, 5, 3), mask.astype(np.int32), draw(2, 4, 5), draw(2, 4, 5)


def log(*values):
    return tf.math.log(tf.constant(values, tf.float32))


def logit(probs):
    probs = np.asarray(probs, np.float32)
    return tf.constant(np.log(probs / (1 - probs)))


def reference_mean(values, keep):
    kept = [value for value, k in zip(np.ravel(values), np.ravel(keep), strict=True) if k]
    return sum(kept) / len(kept) if kept else 0.0


def reference_ce(logits, classes, keep):
    exponentials = np.exp(logits.astype(np.float64))
    probs = exponentials / exponentials.sum(-1, keepdims=True)
    values = [
        -np.log(p[c]) if k else 0.0
        for p, c, k in zip(probs.reshape(-1, 3), classes.ravel(), keep.ravel(), strict=True)
    ]
    return reference_mean(values, keep)


def reference_bce(logits, target, keep):
    probs = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return reference_mean(-np.log(probs if target else 1 - probs), keep)


# === The ignore label ===


def test_valid_pixels_are_those_without_the_ignore_label():
    mask = tf.constant([[[0, IGNORED], [2, 1]]], tf.uint8)
    np.testing.assert_array_equal(losses.valid_pixels(mask, IGNORED), [[[1, 0], [1, 1]]])


@pytest.mark.parametrize("ignore_label", [IGNORED, 1])
def test_one_hot_is_all_zero_where_the_mask_is_ignored(ignore_label):
    mask = tf.constant([[[0, ignore_label, 2]]], tf.uint8)
    expected = [[[[1, 0, 0], [0, 0, 0], [0, 0, 1]]]]
    np.testing.assert_array_equal(losses.one_hot(mask, 3, ignore_label), expected)


def test_mean_is_over_the_pixels_that_count_and_0_over_none():
    values = tf.constant([[[1.0, 2.0, 6.0]]])
    assert losses.masked_mean(values, tf.constant([[[1.0, 0.0, 1.0]]])) == 3.5
    assert losses.masked_mean(values, tf.zeros((1, 1, 3))) == 0


# === Eq. (3): L_ce ===


def test_cross_entropy_of_a_hand_computed_table():
    logits = log([[[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]]])[0][tf.newaxis]
    mask = tf.constant([[[0, 1, 0]]])
    labels = losses.one_hot(mask, 2, IGNORED)
    value = losses.cross_entropy(labels, logits, losses.valid_pixels(mask, IGNORED))
    assert float(value) == pytest.approx((np.log(4 / 3) + np.log(2) + np.log(10)) / 3)


def test_cross_entropy_leaves_ignored_pixels_out_of_sum_and_count():
    logits = log([[[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]]])[0][tf.newaxis]
    mask = tf.constant([[[0, 1, IGNORED]]])
    labels = losses.one_hot(mask, 2, IGNORED)
    value = losses.cross_entropy(labels, logits, losses.valid_pixels(mask, IGNORED))
    assert float(value) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)


def test_cross_entropy_equals_the_numpy_reference(batch):
    logits, mask, _, _ = batch
    labels, valid = losses.one_hot(mask, 3, IGNORED), losses.valid_pixels(mask, IGNORED)
    expected = reference_ce(logits, mask, mask != IGNORED)
    assert float(losses.cross_entropy(labels, logits, valid)) == pytest.approx(expected, rel=1e-5)


# === Eq. (4): L_adv ===


def test_adversarial_of_a_hand_computed_table_with_an_ignored_pixel():
    fake, valid = logit([[[0.75, 0.5, 0.1]]]), tf.constant([[[1.0, 1.0, 0.0]]])
    value = float(losses.adversarial(fake, valid))
    assert value == pytest.approx((np.log(4 / 3) + np.log(2)) / 2)


def test_adversarial_aims_at_1_not_at_0():
    everywhere = tf.ones((1, 1, 1))
    assert losses.adversarial(logit([[[0.99]]]), everywhere) < 0.02
    assert losses.adversarial(logit([[[0.01]]]), everywhere) > 4


def test_adversarial_equals_the_numpy_reference(batch):
    _, mask, _, fake = batch
    expected = reference_bce(fake, 1, mask != IGNORED)
    value = losses.adversarial(fake, losses.valid_pixels(mask, IGNORED))
    assert float(value) == pytest.approx(expected, rel=1e-5)


# === Eq. (1): L_D ===


def test_discriminator_of_a_hand_computed_table_with_ignored_pixels_in_both_halves():
    real, fake = logit([[[0.75, 0.5, 0.1]]]), logit([[[0.75, 0.9, 0.5]]])
    real_valid, fake_valid = tf.constant([[[1.0, 1.0, 0.0]]]), tf.constant([[[1.0, 0.0, 0.0]]])
    value = float(losses.discriminator(real, fake, real_valid, fake_valid))
    assert value == pytest.approx((np.log(4 / 3) + np.log(2)) / 2 + np.log(4))


def test_discriminator_is_small_for_the_right_answers_alone():
    everywhere = tf.ones((1, 1, 1))
    yes, no = logit([[[0.99]]]), logit([[[0.01]]])
    assert losses.discriminator(yes, no, everywhere, everywhere) < 0.03
    assert losses.discriminator(no, yes, everywhere, everywhere) > 8


def test_discriminator_equals_the_numpy_reference(batch, rng):
    _, mask, real, fake = batch
    keep = rng.random(mask.shape) < 0.5
    expected = reference_bce(real, 1, mask != IGNORED) + reference_bce(fake, 0, keep)
    valid = losses.valid_pixels(mask, IGNORED)
    value = losses.discriminator(real, fake, valid, tf.cast(keep, tf.float32))
    assert float(value) == pytest.approx(expected, rel=1e-5)


# === Eq. (6): L_semi ===


def test_trusted_are_the_pixels_above_the_threshold():
    confidence = logit([[[0.1, 0.19, 0.21, 0.9]]])
    np.testing.assert_array_equal(losses.trusted_pixels(confidence, 0.2), [[[0, 0, 1, 1]]])


def test_self_training_of_a_hand_computed_table_averages_over_trusted_pixels():
    logits = log([[[0.75, 0.25], [0.4, 0.6], [0.1, 0.9]]])[0][tf.newaxis]
    value = losses.self_training(logits, tf.constant([[[1.0, 1.0, 0.0]]]))
    assert float(value) == pytest.approx((-np.log(0.75) - np.log(0.6)) / 2)


def test_self_training_is_0_where_no_pixel_is_trusted(batch):
    logits, _, _, fake = batch
    assert losses.self_training(logits, losses.trusted_pixels(fake, 1.0)) == 0


def test_self_training_equals_the_numpy_reference(batch):
    logits, _, _, fake = batch
    keep = 1 / (1 + np.exp(-fake)) > 0.4
    assert 0 < keep.sum() < keep.size
    value = losses.self_training(logits, losses.trusted_pixels(fake, 0.4))
    assert float(value) == pytest.approx(reference_ce(logits, logits.argmax(-1), keep), rel=1e-5)


def test_no_gradient_flows_through_pseudo_label_or_trust_mask(batch):
    logits, confidence = tf.constant(batch[0]), tf.constant(batch[3])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([logits, confidence])
        value = losses.self_training(logits, losses.trusted_pixels(confidence, 0.4))
    keep = 1 / (1 + np.exp(-batch[3])) > 0.4
    probs = tf.nn.softmax(logits).numpy()
    constant_label = np.eye(3)[batch[0].argmax(-1)]
    expected = (probs - constant_label) * keep[..., np.newaxis] / keep.sum()
    np.testing.assert_allclose(tape.gradient(value, logits), expected, atol=1e-6)
    assert tape.gradient(value, confidence) is None


# === Eq. (S4): Dice over trusted pixels ===


def test_trusted_dice_equals_the_numpy_reference(batch, rng):
    logits, shares = batch[0], np.array([9.0, 0.5, 0.25], np.float32)
    classes, trusted = rng.integers(0, 3, (2, 4, 5)), rng.random((2, 4, 5)) < 0.6
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    lost = []
    for k in (1, 2):
        said, true = probs[..., k][trusted], (classes == k)[trusted]
        lost.append(shares[k] * (1 - 2 * (said * true).sum() / (said.sum() + true.sum())))
    value = losses.trusted_dice(
        np.eye(3, dtype=np.float32)[classes], logits, trusted.astype(np.float32), shares
    )
    assert float(value) == pytest.approx(np.mean(lost), rel=1e-5)


def test_trusted_dice_is_0_and_has_no_gradient_where_no_pixel_is_trusted(batch):
    logits, labels = tf.constant(batch[0]), tf.one_hot(tf.ones((2, 4, 5), tf.int32), 3)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = losses.trusted_dice(labels, logits, tf.zeros((2, 4, 5)), tf.zeros(3))
    assert value == 0 and np.all(tape.gradient(value, logits) == 0)


# === Nothing to learn from ===


@pytest.mark.parametrize("loss", ["cross_entropy", "adversarial", "discriminator"])
def test_a_batch_that_is_ignored_as_a_whole_gives_0_and_no_gradient(batch, loss):
    logits, _, real, fake = (tf.constant(value) for value in batch)
    mask = tf.fill((2, 4, 5), IGNORED)
    valid = losses.valid_pixels(mask, IGNORED)
    with tf.GradientTape() as tape:
        tape.watch([logits, real, fake])
        value = {
            "cross_entropy": lambda: losses.cross_entropy(
                losses.one_hot(mask, 3, IGNORED), logits, valid
            ),
            "adversarial": lambda: losses.adversarial(fake, valid),
            "discriminator": lambda: losses.discriminator(real, fake, valid, valid),
        }[loss]()
    assert value == 0
    for gradient in tape.gradient(value, [logits, real, fake], unconnected_gradients="zero"):
        np.testing.assert_array_equal(gradient, tf.zeros_like(gradient))


def test_losses_stay_finite_for_very_sure_networks():
    everywhere, sure = tf.ones((1, 1, 1)), tf.fill((1, 1, 1), 500.0)
    assert np.isfinite(losses.discriminator(-sure, sure, everywhere, everywhere))
    assert np.isfinite(losses.adversarial(-sure, everywhere))
    wrong = tf.constant([[[[500.0, -500.0]]]])
    assert np.isfinite(losses.cross_entropy(tf.constant([[[[0.0, 1.0]]]]), wrong, everywhere))
