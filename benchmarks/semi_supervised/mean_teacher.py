"""Mean Teacher (Tarvainen and Valpola 2017, arXiv:1703.01780), as UA-MT's code base has it.

Source of the settings: `code/train_LA_meanteacher_certainty_unlabel.py` of
https://github.com/yulequan/UA-MT (Yu et al. 2019, arXiv:1907.07034), without its uncertainty.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfadvseg import losses
from tfadvseg.models import AdversarialSegmenter
from tfadvseg.models.adversarial import finite

NOISE, NOISE_LIMIT = 0.1, 0.2  # standard deviation and largest value, of the intensity range [0, 1]


@keras.saving.register_keras_serializable("semi_supervised")
class MeanTeacher(AdversarialSegmenter):
    """S shall say of an unlabelled image what S with averaged weights says of it with noise.

    Both see the same augmented image. There is no D and no threshold.

    Args:
        segmenter: S.
        discriminator: None.
        rampup_steps: optimizer steps in which the weight of consistency grows to `lambda_semi`.
        seed: of the noise.
        **settings: of `AdversarialSegmenter`.
    """

    def __init__(
        self,
        segmenter: keras.Model,
        discriminator: None = None,
        rampup_steps: int = 1,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__(segmenter, discriminator, **settings)
        self.rampup_steps = rampup_steps
        self.seed = seed

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        (images, masks), unlabelled = data
        labels = losses.one_hot(masks, self.output_shape[-1], self.ignore_label)
        valid = losses.valid_pixels(masks, self.ignore_label)
        with tf.GradientTape() as tape:
            logits, student = self._segment(images, unlabelled)
            values = {"ce_loss": losses.cross_entropy(labels, logits, valid)}
            values["loss"] = values["ce_loss"]
            if unlabelled is not None:
                taught = self.averaged(self.noisy(unlabelled), training=False)
                values["semi_loss"] = consistency(student, taught)
                values["loss"] += self.lambda_semi * self.rampup() * values["semi_loss"]
            values = {name: finite(value, name) for name, value in values.items()}
        self._apply(tape, values["loss"], self.segmenter, self.optimizer)
        self._average()
        return self._track(values)

    def noisy(self, images: tf.Tensor) -> tf.Tensor:
        """Images with the noise of this step."""
        seed = tf.stack([tf.constant(self.seed, tf.int64), self._step()])
        noise = NOISE * tf.random.stateless_normal(tf.shape(images), seed)
        return images + tf.clip_by_value(noise, -NOISE_LIMIT, NOISE_LIMIT)

    def rampup(self) -> tf.Tensor:
        """exp(-5 (1 - t)^2), where t grows from 0 to 1 in `rampup_steps`."""
        passed = tf.minimum(tf.cast(self._step(), tf.float32) / self.rampup_steps, 1.0)
        return tf.exp(-5.0 * (1.0 - passed) ** 2)

    def _step(self) -> tf.Tensor:
        return tf.cast(self.optimizer.iterations, tf.int64)

    def get_config(self) -> dict[str, Any]:
        own = {"rampup_steps": self.rampup_steps, "seed": self.seed}
        return {**super().get_config(), **own}


def consistency(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of the probabilities; no gradient reaches the teacher.

    Args:
        student: logits (M, H, W, C).
        teacher: the same shape.
    """
    taught = tf.stop_gradient(tf.nn.softmax(teacher))
    return tf.reduce_mean((tf.nn.softmax(student) - taught) ** 2)
