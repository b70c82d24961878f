"""What teacher, student and discriminator say of images, kept as a few numbers a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfadvseg.data.folders.cases import Case
from tfadvseg.data.geometry import slicing
from tfadvseg.data.image import Image
from tfadvseg.data.io import read_image
from tfadvseg.data.preprocess import batches
from tfadvseg.inference.predictor import Prediction, Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.progress import Progress, silent
from tfadvseg.ranking.measures import Measures, measure


@dataclass(frozen=True)
class Survey:
    """What was seen of some cases.

    Attributes:
        measures: of all slices (S), case after case.
        case_of: (S,) index of the case of each slice.
        features: (N, K) of each case: S's deepest activations, averaged over pixels and slices.
    """

    measures: Measures
    case_of: np.ndarray
    features: np.ndarray


class Observer:
    """Looks at images with the networks of a run, on the networks' grid.

    Args:
        predictor: with the model of the run.
        calibration: of the run.
    """

    def __init__(self, predictor: Predictor, calibration: Calibration):
        self.predictor, self.calibration = predictor, calibration
        student = predictor.model.segmenter
        self.has_teacher = predictor.model.averaged is not None
        self.student = keras.Model(student.input, [student.output, student.deepest])
        slices = tf.TensorSpec((None, None, None, predictor.config.channels), tf.float32)
        self._look = tf.function(
            self._graph, input_signature=[slices, tf.TensorSpec((2,), tf.float32)]
        )

    def survey(self, cases: Sequence[Case], progress: Progress = silent) -> Survey:
        """Looks at every slice of some cases.

        Args:
            cases: images that fit the model.
            progress: wraps the cases to show how far it has come.

        Raises:
            InputError: if an image cannot be read.
        """
        seen = [self.look(read_image(case.image)) for case in progress(cases, len(cases))]
        measures = Measures.joined([one for one, _ in seen])
        case_of = np.repeat(np.arange(len(seen)), [len(one) for one, _ in seen])
        return Survey(measures, case_of, np.stack([features for _, features in seen]))

    def look(self, image: Image) -> tuple[Measures, np.ndarray]:
        """The measures of every slice of an image, and the features (K,) of the whole."""
        cut = slicing(image.geometry, self.predictor.config.slice_axis)
        spacing = np.array(cut.pixel_mm or (1, 1), np.float32)
        parts, features = [], []
        for part in batches(cut.cut(image.voxels), self.predictor.config.size()):
            looked = self._look(part.astype(np.float32), spacing)
            teacher, confidence, student, deepest = (one.numpy() for one in looked)
            said = confidence[..., 0] if self.predictor.has_confidence else None
            seen = Prediction(teacher.argmax(axis=-1).astype(np.uint8), teacher, said)
            right = self.calibration.chance_right(seen)
            parts.append(measure(teacher, right, student if self.has_teacher else None))
            features.append(deepest)
        return Measures.joined(parts), np.concatenate(features).mean(axis=0)

    def _graph(self, slices: tf.Tensor, spacing: tf.Tensor) -> tuple[tf.Tensor, ...]:
        grid = self.predictor.chain.prepare(slices, spacing)
        teacher, confidence = self.predictor.chain.judge(grid)
        logits, deepest = self.student(grid, training=False)
        said = tf.zeros((0, 0, 0, 1)) if confidence is None else confidence
        return teacher, said, tf.nn.softmax(logits), tf.reduce_mean(deepest, axis=(1, 2))
