"""From an image to its mask."""

from tfadvseg.inference.predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor"]
