"""Semi-supervised medical image segmentation with a generative adversarial network."""

__version__ = "0.1.0"
