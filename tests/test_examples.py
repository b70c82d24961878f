from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfadvseg.building import build_model
from tfadvseg.config import Config, read_settings

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.yaml"))


def test_there_are_examples():
    assert {"phantom", "acdc_small", "paper"} <= {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path):
    Config.from_mapping(read_settings(path))


@pytest.mark.slow
def test_the_papers_configuration_builds_and_takes_a_step():
    """512x512, 64 filters, six-layer discriminator; the step is of small images."""
    settings = read_settings(Path(__file__).parent.parent / "examples" / "paper.yaml")
    config = Config.from_mapping(
        {**settings, "classes": ["background", "aorta", "pulmonary artery"], "channels": 1}
    )
    assert config.epochs == 5000 and round(config.warmup * config.epochs) == 1500
    model = build_model(config.replace(epochs=None, steps=10))
    assert len([v for v in model.discriminator.trainable_variables if v.ndim == 4]) == 6
    assert model.discriminator.reduction == 64
    assert config.size() == (512, 512)
    assert model.segmenter.compute_output_shape((1, 512, 512, 1)) == (1, 512, 512, 3)
    image = tf.random.stateless_uniform((1, 128, 128, 1), (0, 0))
    mask = tf.cast(image[..., 0] * 3, tf.int32)
    before = model.segmenter.get_weights()[0]
    logs = model.train_step(((image, mask), image))
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert (model.segmenter.get_weights()[0] != before).any()
