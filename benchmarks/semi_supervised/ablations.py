"""Recipe `strong` with one of its parts taken out or put in, each."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit

from benchmarks.semi_supervised.fixmatch import confident_cross_entropy
from benchmarks.semi_supervised.intensities import harder
from tfadvseg.calibration import START, Judged
from tfadvseg.models import Discriminator, TeacherSegmenter
from tfadvseg.models.teacher import Lesson
from tfadvseg.sampling import Views, grid
from tfadvseg.training.pseudo_labels import Examiner, Trust, quotas

FIXED = 0.95  # FixMatch's threshold
NOISE = 0.2  # most that a label map's one is lowered by


@keras.saving.register_keras_serializable("semi_supervised")
class WithoutBoxes(TeacherSegmenter):
    """The student's view has no pieces of other images."""

    def _view(self, unlabelled: Views, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, box = super()._view(unlabelled, seed)
        return images, tf.zeros_like(box)


@keras.saving.register_keras_serializable("semi_supervised")
class WithoutIntensities(TeacherSegmenter):
    """The student's view has the image's own intensities."""

    def _view(self, unlabelled: Views, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return unlabelled.moved, super()._view(unlabelled, seed)[1]


@keras.saving.register_keras_serializable("semi_supervised")
class HarderIntensities(TeacherSegmenter):
    """The student's view has the intensities that FixMatch's harder view has."""

    def _view(self, unlabelled: Views, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed = harder(unlabelled.moved, tf.random.experimental.stateless_fold_in(seed, 1))
        return super()._view(unlabelled._replace(changed=changed), seed)


@keras.saving.register_keras_serializable("semi_supervised")
class MovedTeacher(TeacherSegmenter):
    """The teacher too sees the images moved and bent, with their own intensities."""

    def _teach(self, unlabelled: Views | None) -> tuple[Lesson | None, tf.Tensor | None]:
        if unlabelled is not None:
            same = grid(tf.shape(unlabelled.plain))
            unlabelled = Views(unlabelled.moved, unlabelled.changed, same)
        return super()._teach(unlabelled)


@keras.saving.register_keras_serializable("semi_supervised")
class WithoutDice(TeacherSegmenter):
    """L_semi is cross-entropy alone."""

    def _learn(
        self, lesson: Lesson, student: tf.Tensor, fake_unlabelled: tf.Tensor
    ) -> dict[str, Any]:
        values = super()._learn(lesson, student, fake_unlabelled)
        return values | {"semi_loss": confident_cross_entropy(lesson, student)}


@keras.saving.register_keras_serializable("semi_supervised")
class WithoutQuotas(TeacherSegmenter):
    """Trusted pixels of every class count alike."""

    def set_trust(
        self, coefficients: np.ndarray, thresholds: np.ndarray, class_weights: np.ndarray
    ) -> None:
        super().set_trust(coefficients, thresholds, np.ones_like(class_weights))


@keras.saving.register_keras_serializable("semi_supervised")
class WithoutWaiting(TeacherSegmenter):
    """D learns in every step, however much it knows."""

    def _challenge(self, tape: tf.GradientTape, d_loss: tf.Tensor) -> tf.Tensor:
        self._teach_discriminator(tape, d_loss)
        return tf.constant(1.0)


@keras.saving.register_keras_serializable("semi_supervised")
class NoisyMaps(TeacherSegmenter):
    """Label maps reach D with noise: by their ones and zeros alone it cannot tell them from S's."""

    def _judge_labelled(
        self, discriminator: Discriminator, labels: tf.Tensor, valid: tf.Tensor, logits: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        step = tf.cast(self.optimizer.iterations, tf.int64)
        shape, seed = tf.shape(valid), tf.stack([tf.constant(self.seed, tf.int64), step])
        noise = tf.random.stateless_uniform(shape, seed, 0, NOISE)[..., None]
        others = (1 - labels) / tf.cast(tf.shape(labels)[-1] - 1, tf.float32)
        noisy = (labels * (1 - noise) + others * noise) * valid[..., None]
        return super()._judge_labelled(discriminator, noisy, valid, logits)


@keras.saving.register_keras_serializable("semi_supervised")
class OwnTeacher(TeacherSegmenter):
    """S makes the pseudo-labels with its weights of the moment; averaged ones still predict."""

    @property
    def teacher(self) -> keras.Model:
        return self.segmenter


class SegmenterAlone(Examiner):
    """Trust rests on S's probability; D's coefficient is fitted on nothing and stays 0."""

    def judge(self) -> Judged:
        pixels = super().judge()
        return dataclasses.replace(pixels, evidence=pixels.evidence * [1, 1, 0])


class FixedThreshold(Examiner):
    """The teacher's probability is taken as it is, and trusted from `FIXED` on."""

    def renew(self) -> Trust:
        pixels, count = self.judge(), self.model.output_shape[-1]
        trusted = expit(pixels.evidence[:, 1]) >= FIXED
        of_class = [pixels.classes == index for index in range(count)]
        shares = np.array([_share(trusted[own]) for own in of_class])
        precisions = [_share(pixels.right[own & trusted], nothing=np.nan) for own in of_class]
        trust = Trust(
            coefficients=np.tile(START, (count, 1)),
            thresholds=np.full(count, FIXED),
            shares=shares,
            precisions=np.array(precisions),
            class_weights=quotas(shares, self.present),
            curves=(None,) * count,
        )
        self.model.set_trust(trust.coefficients, trust.thresholds, trust.class_weights)
        return trust


def _share(values: np.ndarray, nothing: float = 0.0) -> float:
    return float(values.mean()) if len(values) else nothing
