"""FixMatch for segmentation, with the two strong views and the perturbed features of UniMatch.

Sohn et al. 2020, arXiv:2001.07685; Yang et al. 2023, arXiv:2208.09910, whose code is at
https://github.com/LiheYoung/UniMatch, for medical images in `more-scenarios/medical`.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from benchmarks.semi_supervised.intensities import harder
from tfadvseg import losses
from tfadvseg.models import AdversarialSegmenter, cutmix
from tfadvseg.models.adversarial import finite
from tfadvseg.models.teacher import Lesson

DROPPED = 0.5  # share of the channels of every level that UniMatch's perturbed stream lacks


@keras.saving.register_keras_serializable("semi_supervised")
class FixMatch(AdversarialSegmenter):
    """S teaches itself: what it is sure of in an image, it shall say of two harder views.

    S makes the pseudo-labels of the weak image, which is moved and bent only, in training mode, as
    UniMatch's code has it: with the moving averages of its first steps it is sure of nonsense.
    The harder views have other intensities, and boxes of other images as in recipe `strong`.
    There is no D; `t_semi` is the probability above which a pseudo-label is trusted.

    Args:
        segmenter: S.
        discriminator: None.
        features: also learn from the weak image with half the channels of S's encoder dropped,
            which then has half the weight: UniMatch's second stream.
        own_intensities: the harder views have the intensities that labelled images get in training,
            as those of recipe `strong` have, in place of FixMatch's.
        seed: of the harder views.
        **settings: of `AdversarialSegmenter`.
    """

    takes_views = True

    def __init__(
        self,
        segmenter: keras.Model,
        discriminator: None = None,
        features: bool = False,
        own_intensities: bool = False,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__(segmenter, discriminator, **settings)
        self.features = features
        self.own_intensities = own_intensities
        self.seed = seed
        self.halves: Any = _encoder_and_decoder(segmenter) if features else None

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (images, masks), unlabelled = data
        labels = losses.one_hot(masks, self.output_shape[-1], self.ignore_label)
        valid = losses.valid_pixels(masks, self.ignore_label)
        with tf.GradientTape() as tape:
            if unlabelled is None:
                logits, _ = self._segment(images, None)
                values = {}
            else:
                moved, seeds = unlabelled.moved, self._seeds()
                weak = self.pseudo_labels(moved)
                strong = self.harder_views(weak, unlabelled.changed, seeds)
                logits, said = self._segment(images, strong.images)
                values = {
                    "semi_loss": confident_cross_entropy(strong, said),
                    "kept": tf.reduce_mean(weak.weights),
                }
                if self.features:
                    said = self._apart(lambda: self._perturbed(moved, seeds[4]))
                    values["semi_loss"] += confident_cross_entropy(weak, said)
                    values["semi_loss"] /= 2
            values["ce_loss"] = losses.cross_entropy(labels, logits, valid)
            values["loss"] = self._segmenter_loss(values)
            values = {name: finite(value, name) for name, value in values.items()}
        self._apply(tape, values["loss"], self.segmenter, self.optimizer)
        self._average()
        return self._track(values)

    def pseudo_labels(self, images: tf.Tensor) -> Lesson:
        """The most probable class, with weight 1 where its probability is above `t_semi`."""
        logits = self._apart(lambda: self.segmenter(images, training=True))
        probabilities = tf.stop_gradient(tf.nn.softmax(logits))
        sure = tf.reduce_max(probabilities, axis=-1) > self.t_semi
        return Lesson(images, tf.argmax(probabilities, axis=-1), tf.cast(sure, tf.float32))

    def harder_views(self, weak: Lesson, changed: tf.Tensor, seeds: tf.Tensor) -> Lesson:
        """Two harder views of every image, (2M, H, W, K), pseudo-labels moved with the boxes."""
        count, height, width = tf.unstack(tf.shape(weak.classes))
        drawn = []
        for box_seed, seed in ((seeds[0], seeds[1]), (seeds[2], seeds[3])):
            box = cutmix.boxes(count, height, width, box_seed)
            seen = changed if self.own_intensities else harder(weak.images, seed)
            parts = (seen, weak.classes, weak.weights)
            drawn.append([cutmix.pasted(part, box) for part in parts])
        return Lesson(*(tf.concat(pair, axis=0) for pair in zip(*drawn, strict=True)))

    def _perturbed(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Logits of images from an encoder that lacks half its channels, at every level."""
        encoder, decoder = self.halves
        levels = encoder(images, training=True)
        seeds = tf.unstack(tf.random.split(seed, len(levels)))
        levels = [_without_channels(x, key) for x, key in zip(levels, seeds, strict=True)]
        return decoder([images, *levels], training=True)

    def _seeds(self) -> tf.Tensor:
        step = tf.cast(self.optimizer.iterations, tf.int64)
        return tf.random.split(tf.stack([tf.constant(self.seed, tf.int64), step]), 5)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("features", "own_intensities", "seed")}
        return {**super().get_config(), **own}


def confident_cross_entropy(lesson: Lesson, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy against the pseudo-labels that are trusted, as a mean over all pixels."""
    surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(lesson.classes, logits)
    return tf.reduce_mean(lesson.weights * surprise)


def _encoder_and_decoder(unet: Any) -> tuple[keras.Model, keras.Model]:
    """The halves of a U-Net, with its own layers: image to levels, image and levels to logits."""
    names = [*(f"down{level}" for level in range(unet.depth)), "bottom"]
    levels = [unet.get_layer(f"{name}_relu2").output for name in names]
    return keras.Model(unet.input, levels), keras.Model([unet.input, *levels], unet.output)


def _without_channels(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(x)
    noise_shape = tf.stack([shape[0], 1, 1, shape[3]])
    return tf.nn.experimental.stateless_dropout(x, DROPPED, seed, noise_shape=noise_shape)
