"""AdversarialSegmenter: the segmenter and the discriminator in one trainable model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfadvseg import losses
from tfadvseg.models.discriminator import Discriminator

METRICS = (
    "loss",
    "ce_loss",
    "adv_loss",
    "adv_loss_unlabelled",
    "semi_loss",
    "d_loss",
    "d_learns",
    "kept",
    "d_real",
    "d_fake_labelled",
    "d_fake_unlabelled",
)


@keras.saving.register_keras_serializable("tfadvseg")
class AdversarialSegmenter(keras.Model):
    """Trains a segmenter S against a discriminator D, with labelled and unlabelled images.

    As a model it is S: image (N, H, W, K) -> logits (N, H, W, C). `fit` takes batches
    `((images, masks), unlabelled)`; where `unlabelled` is None, the step is supervised (Eq. 2).

    Args:
        segmenter: S, a functional model that returns logits.
        discriminator: D, or None to train S alone.
        lambda_adv: weight of L_adv on labelled images.
        lambda_adv_unlabelled: weight of L_adv on unlabelled images; 0 in the paper.
        lambda_semi: weight of L_semi.
        t_semi: confidence above which a pseudo-label is trusted, in [0, 1].
        semi_start: optimizer step at which L_semi joins in (Eq. 5).
        discriminator_fakes: predictions that D learns as fake: `labelled` images' or `both`.
        ignore_label: mask value that no loss counts.
        averaging: decay of the moving average of S's weights, in [0, 1); 0: there is none.

    Attributes:
        averaged: S with averaged weights, or None. Predictions are made with `predicting`.
        takes_views: whether unlabelled images shall come twice, see `sampling.Views`.
    """

    takes_views = False

    def __init__(
        self,
        segmenter: keras.Model,
        discriminator: Discriminator | None = None,
        lambda_adv: float = 0.01,
        lambda_adv_unlabelled: float = 0.0,
        lambda_semi: float = 0.1,
        t_semi: float = 0.2,
        semi_start: int = 0,
        discriminator_fakes: str = "labelled",
        ignore_label: int = 255,
        averaging: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(inputs=segmenter.input, outputs=segmenter(segmenter.input), **kwargs)
        self.segmenter = segmenter
        self.discriminator: Any = discriminator
        self.lambda_adv = lambda_adv
        self.lambda_adv_unlabelled = lambda_adv_unlabelled
        self.lambda_semi = lambda_semi
        self.t_semi = t_semi
        self.semi_start = semi_start
        self.discriminator_fakes = discriminator_fakes
        self.ignore_label = ignore_label
        self.averaging = averaging
        self.averaged: Any = _copy(segmenter) if averaging else None
        self.trackers = {name: keras.metrics.Mean(name=name) for name in METRICS}

    @property
    def predicting(self) -> keras.Model:
        """The network that predictions are made with: S with averaged weights, or S itself."""
        return self.segmenter if self.averaged is None else self.averaged

    # === Compilation and saving ===

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer | None = None,
        jit_compile: bool = False,  # slower than the graph on a CPU
        **kwargs: Any,
    ) -> None:
        """Sets both optimizers; those of the networks' variables are built at once.

        Args:
            optimizer: of S.
            discriminator_optimizer: of D; needed where there is one.
            jit_compile: compile the step with XLA.
            **kwargs: `run_eagerly`, `steps_per_execution`.

        Raises:
            ValueError: if D has no optimizer.
        """
        if self.discriminator is not None and discriminator_optimizer is None:
            raise ValueError("discriminator_optimizer: expected an optimizer for D, received None")
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        self.optimizer.build(self.segmenter.trainable_variables)
        if self.discriminator is not None and discriminator_optimizer is not None:
            discriminator_optimizer.build(self.discriminator.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "discriminator_optimizer": serialize(self.discriminator_optimizer),
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "segmenter": serialize(self.segmenter),
            "discriminator": serialize(self.discriminator),
            "lambda_adv": self.lambda_adv,
            "lambda_adv_unlabelled": self.lambda_adv_unlabelled,
            "lambda_semi": self.lambda_semi,
            "t_semi": self.t_semi,
            "semi_start": self.semi_start,
            "discriminator_fakes": self.discriminator_fakes,
            "ignore_label": self.ignore_label,
            "averaging": self.averaging,
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> AdversarialSegmenter:
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("segmenter", "discriminator")
        }
        return cls(**{**config, **networks})

    # === Training ===

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Updates the segmenter and the discriminator on one batch.

        Args:
            data: `((images, masks), unlabelled)`: (N, H, W, K) float, (N, H, W) integer class
                indices, (M, H, W, K) float or None.

        Returns:
            The means since the epoch began of every loss and figure that this step has.
        """
        (images, masks), unlabelled = data
        labels = losses.one_hot(masks, self.output_shape[-1], self.ignore_label)
        valid = losses.valid_pixels(masks, self.ignore_label)
        # Persistent: one forward pass of D over S's output serves both updates.
        with tf.GradientTape(persistent=True) as tape:
            logits, unlabelled_logits = self._segment(images, unlabelled)
            values = {"ce_loss": losses.cross_entropy(labels, logits, valid)}
            if self.discriminator is not None:
                values |= self._judge(self.discriminator, labels, valid, logits, unlabelled_logits)
            values["loss"] = self._segmenter_loss(values)
            values = {name: finite(value, name) for name, value in values.items()}
        self._apply(tape, values["loss"], self.segmenter, self.optimizer)
        self._average()
        if self.discriminator is not None:
            self._teach_discriminator(tape, values["d_loss"])
        return self._track(values)

    def _segment(
        self, images: tf.Tensor, unlabelled: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Logits of both halves, which never share batch statistics."""
        if unlabelled is None:
            return self.segmenter(images, training=True), None
        if not self.segmenter.non_trainable_variables:  # no moving averages: samples independent
            logits = self.segmenter(tf.concat([images, unlabelled], axis=0), training=True)
            return tf.split(logits, [tf.shape(images)[0], tf.shape(unlabelled)[0]])
        logits = self.segmenter(images, training=True)
        return logits, self._apart(lambda: self.segmenter(unlabelled, training=True))

    def _apart(self, forward: Callable[[], tf.Tensor]) -> tf.Tensor:
        """A pass of S over unlabelled images, which leaves the moving averages as they were.

        Predictions are made with those of the labelled images.
        """
        statistics = [tf.identity(v) for v in self.segmenter.non_trainable_variables]
        result = forward()
        for variable, value in zip(self.segmenter.non_trainable_variables, statistics, strict=True):
            variable.assign(value)
        return result

    def _judge(
        self,
        discriminator: Discriminator,
        labels: tf.Tensor,
        valid: tf.Tensor,
        logits: tf.Tensor,
        unlabelled_logits: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        """What D says of label maps and predictions: its loss and those it gives to S."""
        values, real, fake = self._judge_labelled(discriminator, labels, valid, logits)
        if unlabelled_logits is None:
            return values | {"d_loss": losses.discriminator(real, fake, valid, valid)}
        fake_unlabelled = judgement(discriminator, tf.nn.softmax(unlabelled_logits))
        trusted = losses.trusted_pixels(fake_unlabelled, self.t_semi)
        everywhere = tf.ones_like(trusted)
        values |= {
            "semi_loss": losses.self_training(unlabelled_logits, trusted),
            "adv_loss_unlabelled": losses.adversarial(fake_unlabelled, everywhere),
            "kept": tf.reduce_mean(trusted),
            "d_fake_unlabelled": tf.reduce_mean(tf.sigmoid(fake_unlabelled)),
        }
        if self.discriminator_fakes == "both":
            fake = tf.concat([fake, fake_unlabelled], axis=0)
            everywhere = tf.concat([valid, everywhere], axis=0)
            return values | {"d_loss": losses.discriminator(real, fake, valid, everywhere)}
        return values | {"d_loss": losses.discriminator(real, fake, valid, valid)}

    def _judge_labelled(
        self, discriminator: Discriminator, labels: tf.Tensor, valid: tf.Tensor, logits: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """L_adv and D's means, and D's logits for label maps and predictions.

        Predictions are all zero where the label map is: else D would know it by that.
        """
        real = judgement(discriminator, labels)
        fake = judgement(discriminator, tf.nn.softmax(logits) * valid[..., tf.newaxis])
        values = {
            "adv_loss": losses.adversarial(fake, valid),
            "d_real": losses.masked_mean(tf.sigmoid(real), valid),
            "d_fake_labelled": losses.masked_mean(tf.sigmoid(fake), valid),
        }
        return values, real, fake

    def _segmenter_loss(self, values: dict[str, tf.Tensor]) -> tf.Tensor:
        """Eq. (2), and Eq. (5) from the step `semi_start` on."""
        loss = values["ce_loss"]
        if "adv_loss" in values:
            loss += self.lambda_adv * values["adv_loss"]
        # With a weight of 0, gradients of 0 would be passed backwards through all of D.
        if self.lambda_adv_unlabelled and "adv_loss_unlabelled" in values:
            loss += self.lambda_adv_unlabelled * values["adv_loss_unlabelled"]
        if "semi_loss" in values:
            started = tf.cast(self.optimizer.iterations >= self.semi_start, tf.float32)
            loss += started * self.lambda_semi * values["semi_loss"]
        return loss

    def _apply(
        self,
        tape: tf.GradientTape,
        loss: tf.Tensor,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
    ) -> None:
        """Moves one network's own variables, and no others."""
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    def _teach_discriminator(self, tape: tf.GradientTape, d_loss: tf.Tensor) -> None:
        self._apply(tape, d_loss, self.discriminator, self.discriminator_optimizer)
        self.discriminator.constrain()

    def _average(self) -> None:
        """Moves the averaged weights; what S was in its first steps is soon forgotten."""
        if self.averaged is None:
            return
        step = tf.cast(self.optimizer.iterations, tf.float32)
        rate = 1 - tf.minimum(self.averaging, (1 + step) / (10 + step))
        # Batch statistics too: those of the weights that are averaged.
        pairs = zip(self.averaged.variables, self.segmenter.variables, strict=True)
        for mean, value in pairs:
            mean.assign_add(rate * (value - mean))

    def _track(self, values: dict[str, Any]) -> dict[str, tf.Tensor]:
        """The means since the epoch began; a value may be a pair of value and weight."""
        names = [name for name in self.trackers if name in values]
        for name in names:
            value = values[name]
            self.trackers[name].update_state(*(value if isinstance(value, tuple) else (value,)))
        return {name: self.trackers[name].result() for name in names}


def _copy(network: keras.Model) -> keras.Model:
    """A second network with the same weights."""
    copy = type(network).from_config({**network.get_config(), "name": f"averaged_{network.name}"})
    copy.set_weights(network.get_weights())
    return copy


def judgement(discriminator: Discriminator, class_map: tf.Tensor) -> tf.Tensor:
    """D's logits (N, H, W) for class maps (N, H, W, C)."""
    return tf.squeeze(discriminator(class_map, training=False), axis=-1)


def finite(value: tf.Tensor, name: str) -> tf.Tensor:
    """Stops the step, before any weight moves, where a loss is not a number."""
    return tf.debugging.check_numerics(value, name) if "loss" in name else value
