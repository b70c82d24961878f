"""The paper's losses, Eq. (1) to (6), as pure functions.

Sums over pixels in the paper are means here, over the pixels that count: the weights of the
method (`lambda_adv`, `lambda_semi`) are those of means. A mean over no pixel is 0. Discriminator
outputs come as logits; the confidence of the paper is their sigmoid.

Shapes:
    logits, one_hot: (N, H, W, C) float.
    mask, valid, trusted: (N, H, W); `valid` and `trusted` are 0 or 1, float.
    discriminator logits: (N, H, W) float.
"""

from __future__ import annotations

import tensorflow as tf


def valid_pixels(mask: tf.Tensor, ignore_label: int) -> tf.Tensor:
    """1 where a mask counts, 0 where it holds the ignore label."""
    return tf.cast(mask != ignore_label, tf.float32)


def one_hot(mask: tf.Tensor, num_classes: int, ignore_label: int) -> tf.Tensor:
    """The label map Y_n of the paper; all zero where the mask is ignored."""
    encoded = tf.one_hot(tf.cast(mask, tf.int32), num_classes)
    return encoded * valid_pixels(mask, ignore_label)[..., tf.newaxis]


def masked_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mean of (N, H, W) values over the pixels with weight 1; 0 where there is none."""
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), tf.reduce_sum(weights))


def cross_entropy(one_hot_mask: tf.Tensor, logits: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """L_ce, Eq. (3): multi-class cross-entropy over the labelled pixels."""
    return masked_mean(tf.nn.softmax_cross_entropy_with_logits(one_hot_mask, logits), valid)


def adversarial(fake: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """L_adv, Eq. (4): small when the discriminator takes predictions for label maps.

    The paper prints the target 0; D is trained to answer 1 for label maps (Eq. 1), so fooling
    it needs 1, as in AdvSemiSeg (Hung et al. 2018, arXiv:1802.07934).
    """
    return masked_mean(_binary_cross_entropy(1.0, fake), valid)


def discriminator(
    real: tf.Tensor, fake: tf.Tensor, real_valid: tf.Tensor, fake_valid: tf.Tensor
) -> tf.Tensor:
    """L_D, Eq. (1): 1 for label maps, 0 for predictions."""
    real_loss = masked_mean(_binary_cross_entropy(1.0, real), real_valid)
    return real_loss + masked_mean(_binary_cross_entropy(0.0, fake), fake_valid)


def trusted_pixels(confidence_logits: tf.Tensor, t_semi: float) -> tf.Tensor:
    """I(D(S(X_n)) > T_semi) of Eq. (6); no gradient flows through it."""
    trusted = tf.sigmoid(confidence_logits) > t_semi
    return tf.stop_gradient(tf.cast(trusted, tf.float32))


def self_training(logits: tf.Tensor, trusted: tf.Tensor) -> tf.Tensor:
    """L_semi, Eq. (6): cross-entropy against the network's own argmax on trusted pixels.

    The pseudo-label is a constant: the gradient reaches S through the logits alone.
    """
    pseudo_label = tf.stop_gradient(tf.argmax(logits, axis=-1))
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(pseudo_label, logits)
    return masked_mean(values, trusted)


def trusted_dice(
    one_hot_mask: tf.Tensor, logits: tf.Tensor, trusted: tf.Tensor, shares: tf.Tensor
) -> tf.Tensor:
    """1 - Dice of each foreground class over trusted pixels, a mean of them, Eq. (S4).

    Args:
        one_hot_mask: the pseudo-labels.
        logits: of the student.
        trusted: see above.
        shares: (C,) trusted share of the pixels of each class, by which it counts: with nothing
            trusted, the loss is 0.
    """
    expected, said = (x * trusted[..., tf.newaxis] for x in (one_hot_mask, tf.nn.softmax(logits)))
    shared, both = (tf.reduce_sum(x, axis=(0, 1, 2)) for x in (expected * said, expected + said))
    dice = tf.math.divide_no_nan(2 * shared, both)
    return tf.reduce_mean((shares * (1 - dice))[1:])


def _binary_cross_entropy(target: float, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), target), logits)
