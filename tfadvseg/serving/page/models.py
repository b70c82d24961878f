"""Which served models the page can ask, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode

from tfadvseg.inference.engines.signature import Arrays, Signature, Signatures, slice_inputs
from tfadvseg.pictures import class_colours
from tfadvseg.serving.about import About
from tfadvseg.serving.manager import Manager, Reference
from tfadvseg.serving.page.slices import Slice
from tfadvseg.serving.status import ServingError, invalid
from tfadvseg.serving.warmup import DEFAULT_SIGNATURE

_INPUTS = ({"images"}, {"images", "spacing_mm"})


def list_models(manager: Manager) -> list[dict[str, Any]]:
    """What the page says of each model: name, version, and why it cannot be asked.

    Raises:
        ServingError: if the server has just been started.
    """
    return [_tell(manager, name) for name in manager.names()]


def find_signature(signatures: Signatures) -> Signature:
    """The signature that takes one slice.

    Raises:
        ServingError: if the model has none like those of `tfadvseg export`.
    """
    found = signatures.get(DEFAULT_SIGNATURE)
    if (
        found is None
        or set(found.inputs) not in _INPUTS
        or found.inputs["images"].dtype != tf.float32
        or found.inputs["images"].shape.rank != 4
        or "mask" not in found.outputs
    ):
        raise invalid(
            "foreign model",
            "this model's serving_default is not one of tfadvseg's (images to mask): the page "
            "cannot ask it, but gRPC and REST can",
        )
    return found


def channels_of(signature: Signature) -> int:
    """How many channels a model takes; 1 where it takes any."""
    return signature.inputs["images"].shape[-1] or 1


def inputs_for(one: Slice, specs: Mapping[str, tf.TensorSpec]) -> Arrays:
    """The inputs of a model for a slice.

    Raises:
        ServingError: if it has other channels, or no pixel size and the model needs one.
    """
    channels, given = specs["images"].shape[-1], one.voxels.shape[-1]
    if channels not in (None, given):
        raise invalid(
            "wrong channels",
            f"expected an image with {channels} channel(s) as in training, received {given}; "
            "convert it",
        )
    if "spacing_mm" in specs and one.pixel_mm is None:
        raise invalid(
            "no pixel size",
            "expected an image that says its pixel size in mm (NIfTI, DICOM), as this model "
            "was trained with spacing_mm; received one that does not",
        )
    pixel_mm = None if one.pixel_mm is None else np.array(one.pixel_mm)
    return slice_inputs(specs, one.voxels[np.newaxis], pixel_mm)


def class_names(about: About, count: int) -> list[str]:
    """The names of so many classes; numbers where the export tells none."""
    names = about.classes or ("background",)
    return [*names, *(f"class {index}" for index in range(len(names), count))]


def colour_of(index: int) -> str:
    """The colour of a class, as the project's pictures have it."""
    return "#" + class_colours(np.array([index])).astype(np.uint8).tobytes().hex()


def _tell(manager: Manager, name: str) -> dict[str, Any]:
    try:
        servable = manager.find(Reference(name))
        with servable.in_use() as signatures:
            signature = find_signature(signatures)
    except ServingError as error:
        if error.code is StatusCode.UNAVAILABLE:
            raise
        return {"name": name, "problem": str(error)}
    return {
        "name": name,
        "version": servable.version,
        "confidence": "confidence" in signature.outputs,
        "needs_pixel_size": "spacing_mm" in signature.inputs,
    }
