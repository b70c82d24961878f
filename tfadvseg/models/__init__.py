"""Networks as functional Keras models, and the trainer that sets one against the other."""

from tfadvseg.models.adversarial import AdversarialSegmenter
from tfadvseg.models.attention_unet import AttentionUNet
from tfadvseg.models.discriminator import Discriminator
from tfadvseg.models.teacher import TeacherSegmenter
from tfadvseg.models.unet import UNet

__all__ = ["AdversarialSegmenter", "AttentionUNet", "Discriminator", "TeacherSegmenter", "UNet"]
