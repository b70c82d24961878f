"""TeacherSegmenter: pseudo-labels of a teacher, trusted where S and D have earned it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfadvseg import calibration, losses
from tfadvseg.models import cutmix
from tfadvseg.models.adversarial import AdversarialSegmenter, finite, judgement
from tfadvseg.models.discriminator import Discriminator
from tfadvseg.sampling import Views, nearest

# L_D below which D waits for S: it is right nearly everywhere then, L_adv is flat, and its
# confidence tells no pixel from another. AdvSemiSeg, which halves it, wants it at 0.2 to 0.5.
ENOUGH = 0.4
DICE = 0.1  # weight of the Dice loss beside cross-entropy, in (S3)


@dataclass(frozen=True)
class Lesson:
    """What the student shall learn from unlabelled images.

    Attributes:
        images: (M, H, W, K), the student's view.
        classes: (M, H, W), the pseudo-labels of what that view shows.
        weights: (M, H, W), 0 where they are not trusted.
    """

    images: tf.Tensor
    classes: tf.Tensor
    weights: tf.Tensor


@keras.saving.register_keras_serializable("tfadvseg")
class TeacherSegmenter(AdversarialSegmenter):
    """Recipe `strong`: S with averaged weights teaches S on unlabelled images.

    The teacher sees an image as it is, the student changed as labelled images are in training, and
    with pieces of others. A pseudo-label is trusted where the probability that it is right, from
    S's probability and D's confidence together, reaches the threshold of its class. `set_trust`
    sets both; before, nothing is trusted. D learns only while its loss is above `ENOUGH`.

    Args:
        segmenter: S.
        discriminator: D.
        averaging: decay of the teacher's weights, above 0.
        seed: of the pieces.
        **settings: of `AdversarialSegmenter`.
    """

    takes_views = True

    def __init__(
        self,
        segmenter: keras.Model,
        discriminator: Discriminator,
        averaging: float = 0.99,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__(segmenter, discriminator, averaging=averaging, **settings)
        self.seed = seed
        classes = self.output_shape[-1]
        self.coefficients = self._constant("coefficients", np.zeros((classes, 3)))
        self.thresholds = self._constant("thresholds", np.full(classes, np.inf))
        self.class_weights = self._constant("class_weights", np.ones(classes))
        for name in (f"kept_{index}" for index in range(classes)):
            self.trackers[name] = keras.metrics.Mean(name=name)

    @property
    def teacher(self) -> keras.Model:
        """The network that makes the pseudo-labels: S with averaged weights."""
        return self.averaged

    def _constant(self, name: str, value: np.ndarray) -> keras.Variable:
        return keras.Variable(value, dtype="float32", trainable=False, name=name)

    def set_trust(
        self, coefficients: np.ndarray, thresholds: np.ndarray, class_weights: np.ndarray
    ) -> None:
        """Says which pseudo-labels to trust from now on.

        Args:
            coefficients: (C, 3) of `calibration.fit`.
            thresholds: (C,) of P(right).
            class_weights: (C,) what a trusted pixel of a class counts, in [0, 1].
        """
        self.coefficients.assign(coefficients)
        self.thresholds.assign(thresholds)
        self.class_weights.assign(class_weights)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Updates the segmenter, the teacher and the discriminator on one batch.

        Args:
            data: as of `AdversarialSegmenter.train_step`, but unlabelled images are `Views`.
                Without them, S and D learn from the labelled ones alone.

        Returns:
            The means since the epoch began of every loss and figure that this step has.
        """
        (images, masks), unlabelled = data
        labels = losses.one_hot(masks, self.output_shape[-1], self.ignore_label)
        valid = losses.valid_pixels(masks, self.ignore_label)
        # Persistent: D's pass over the teacher's maps tells what to trust and what D has to learn.
        with tf.GradientTape(persistent=True) as tape:
            lesson, fake_unlabelled = self._teach(unlabelled)
            logits, student = self._segment(images, lesson and lesson.images)
            values, real, fake = self._judge_labelled(self.discriminator, labels, valid, logits)
            values["ce_loss"] = losses.cross_entropy(labels, logits, valid)
            if lesson is not None:
                values |= self._learn(lesson, student, fake_unlabelled)
                fake = tf.concat([fake, fake_unlabelled], axis=0)
            counted = tf.concat([valid, tf.ones_like(fake[tf.shape(valid)[0] :])], axis=0)
            values["d_loss"] = losses.discriminator(real, fake, valid, counted)
            values["loss"] = self._segmenter_loss(values)
            values = {name: finite(value, name) for name, value in values.items()}
        self._apply(tape, values["loss"], self.segmenter, self.optimizer)
        self._average()
        values["d_learns"] = self._challenge(tape, values["d_loss"])
        return self._track(values)

    def _challenge(self, tape: tf.GradientTape, d_loss: tf.Tensor) -> tf.Tensor:
        """Moves D, unless it knows enough; returns 1 or 0."""
        optimizer: Any = self.discriminator_optimizer

        def learn() -> tf.Tensor:
            self._teach_discriminator(tape, d_loss)
            return tf.constant(1.0)

        def wait() -> tf.Tensor:
            optimizer.iterations.assign_add(1)  # its learning rate decays all the same
            return tf.constant(0.0)

        return tf.cond(d_loss > ENOUGH, learn, wait)

    def _teach(self, unlabelled: Views | None) -> tuple[Lesson | None, tf.Tensor | None]:
        """The teacher's pseudo-labels as a lesson, and D's logits for the teacher's class maps."""
        if unlabelled is None:
            return None, None
        taught = tf.stop_gradient(tf.nn.softmax(self.teacher(unlabelled.plain, training=False)))
        judged = judgement(self.discriminator, taught)
        classes = tf.argmax(taught, axis=-1)
        trusted = self.chance_right(taught, judged) >= tf.gather(self.thresholds, classes)
        weights = tf.cast(trusted, tf.float32) * tf.gather(self.class_weights, classes)
        step = tf.cast(self.optimizer.iterations, tf.int64)
        images, box = self._view(unlabelled, tf.stack([self.seed, step]))
        said = (nearest(part, unlabelled.points) for part in (classes, tf.stop_gradient(weights)))
        return Lesson(*(cutmix.pasted(part, box) for part in (images, *said))), judged

    def _view(self, unlabelled: Views, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The images of the student's view, and the boxes (N, H, W) that others are pasted into."""
        size = tf.shape(unlabelled.changed)
        return unlabelled.changed, cutmix.boxes(size[0], size[1], size[2], seed)

    def chance_right(self, probabilities: tf.Tensor, judged: tf.Tensor) -> tf.Tensor:
        """P(right) of the most probable class, see `calibration`.

        Args:
            probabilities: (N, H, W, C).
            judged: (N, H, W), D's logits for them.
        """
        own = tf.reduce_max(probabilities, axis=-1)
        said = tf.math.log(own) - tf.math.log1p(-own)
        limit = calibration.LIMIT
        evidence = [tf.ones_like(own)]
        evidence += [tf.clip_by_value(value, -limit, limit) for value in (said, judged)]
        weights = tf.gather(self.coefficients, tf.argmax(probabilities, axis=-1))
        return tf.stop_gradient(tf.sigmoid(tf.reduce_sum(weights * tf.stack(evidence, -1), -1)))

    def _learn(
        self, lesson: Lesson, student: tf.Tensor, fake_unlabelled: tf.Tensor
    ) -> dict[str, Any]:
        """L_semi of the student, (S3): it grows with what is trusted."""
        surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(lesson.classes, student)
        kept = tf.cast(lesson.weights > 0, tf.float32)
        labels = tf.one_hot(lesson.classes, self.output_shape[-1])
        shares, pixels = _kept_of_classes(labels, kept)
        dice = losses.trusted_dice(labels, student, kept, shares)
        pairs = enumerate(zip(tf.unstack(shares), tf.unstack(pixels), strict=True))
        return {
            "semi_loss": tf.reduce_mean(lesson.weights * surprise) + DICE * dice,
            "kept": tf.reduce_mean(kept),
            "d_fake_unlabelled": tf.reduce_mean(tf.sigmoid(fake_unlabelled)),
            # A class weighs as much as it has pixels.
            **{f"kept_{index}": pair for index, pair in pairs},
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def _kept_of_classes(labels: tf.Tensor, kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The kept share of the pixels of each class, (C,), and how many it has, (C,)."""
    everywhere = (0, 1, 2)
    pixels = tf.reduce_sum(labels, everywhere)
    taken = tf.reduce_sum(labels * kept[..., None], everywhere)
    return tf.math.divide_no_nan(taken, pixels), pixels
