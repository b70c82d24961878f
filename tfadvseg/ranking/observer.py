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
from tfadvseg.exact import exactly
from tfadvseg.inference.predictor import Prediction, Predictor
from tfadvseg.inference.quality import Calibration
from tfadvseg.progress import Progress, silent
from tfadvseg.ranking.measures import Measures, measure

TINY = 1e-9  # foreground where there is none


@dataclass(frozen=True)
class Survey:
    """What was seen of some cases.

    Attributes:
        measures: of all slices (S), case after case, in the order of their files.
        case_of: (S,) index of the case of each slice.
        features: (N, K) of each case: the deepest activations of the network that predicts,
            averaged over its slices and over what it predicts as foreground. What lies around the
            organs tells of the scanner and the field of view, not of what there is to learn.
        foreground: (N,) how much of it there is, the expected share of pixels summed over slices.
    """

    measures: Measures
    case_of: np.ndarray
    features: np.ndarray
    foreground: np.ndarray

    def of_no_cases(self) -> Survey:
        """A survey with the same features of no case at all."""
        nothing = Measures(self.measures.amounts[:0], self.measures.sizes[:0])
        return Survey(nothing, self.case_of[:0], self.features[:0], self.foreground[:0])


class Observer:
    """Looks at images with the networks of a run, on the networks' grid.

    Args:
        predictor: with the model of the run.
        calibration: of the run.
    """

    def __init__(self, predictor: Predictor, calibration: Calibration):
        self.predictor, self.calibration = predictor, calibration
        self.student, teacher = predictor.model.segmenter, predictor.model.predicting
        self.has_teacher = predictor.model.averaged is not None
        self.encoder = keras.Model(teacher.input, teacher.deepest)
        self.pad = teacher.get_layer("pad")
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
        measures, features, foreground = zip(*seen, strict=True)
        case_of = np.repeat(np.arange(len(seen)), [len(one) for one in measures])
        joined = Measures.joined(measures)
        return Survey(joined, case_of, np.stack(features), np.array(foreground))

    def look(self, image: Image) -> tuple[Measures, np.ndarray, float]:
        """The measures of every slice as stored; features (K,) and foreground of the whole."""
        cut = slicing(image.geometry, self.predictor.config.slice_axis)
        spacing = np.array(cut.pixel_mm or (1, 1), np.float32)
        parts, features, foreground = [], [], []
        for part in batches(cut.cut(image.voxels), self.predictor.config.size()):
            with exactly():
                looked = self._look(part.astype(np.float32), spacing)
                teacher, confidence, student, *deepest = (one.numpy() for one in looked)
            said = confidence[..., 0] if self.predictor.has_confidence else None
            seen = Prediction(teacher.argmax(axis=-1).astype(np.uint8), teacher, said)
            right = self.calibration.chance_right(seen)
            parts.append(measure(teacher, right, student if self.has_teacher else None))
            features.append(deepest[0])
            foreground.append(deepest[1])
        amount, measures = float(np.sum(foreground)), Measures.joined(parts)
        in_file = [cut.stored(place, len(measures)) for place in range(len(measures))]
        return measures.taken(in_file), np.sum(features, axis=0) / max(amount, TINY), amount

    def _graph(self, slices: tf.Tensor, spacing: tf.Tensor) -> tuple[tf.Tensor, ...]:
        grid = self.predictor.chain.prepare(slices, spacing)
        teacher, confidence = self.predictor.chain.judge(grid)
        said = tf.zeros((0, 0, 0, 1)) if confidence is None else confidence
        student = teacher
        if self.has_teacher:
            student = tf.nn.softmax(self.student(grid, training=False))
        deepest = tf.cast(self.encoder(grid, training=False), tf.float32)
        foreground = self.pad(1 - teacher[..., :1])  # as the network pads what it sees
        size = tf.shape(deepest)[1:3]
        foreground = tf.image.resize(foreground, size, tf.image.ResizeMethod.AREA)
        weighted = tf.reduce_sum(deepest * foreground, axis=(0, 1, 2))
        return teacher, said, student, weighted, tf.reduce_sum(foreground)
