"""The configuration of a run: one flat, frozen dataclass; YAML in and out; every range check.

The defaults stand here and nowhere else, but for those that depend on the recipe (`recipes`). Each
setting carries its help text and its range in the field's metadata, from which
`docs/configuration.md` is checked.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tfadvseg import recipes, windows
from tfadvseg.coercion import check_range, coerce
from tfadvseg.errors import InputError

Number = TypeVar("Number", int, float)

MODELS = ("unet", "attention_unet")
NORMS = ("batch", "instance", "group")
AUGMENTATIONS = ("flip", "affine", "elastic", "gamma", "noise")
DEFAULT_STEPS = 4000
DEFAULT_IGNORE_LABEL = 255
DEFAULT_WINDOW = "percentile"
SLICE_AXES = ("acquisition", "axial", "coronal", "sagittal")


def _setting(
    default: Any,
    text: str,
    low: float | None = None,
    high: float | None = None,
    *,
    choices: tuple[str, ...] | None = None,
    positive: bool = False,
) -> Any:
    """A field with its help text and its range: `low` and `high` included, or above zero."""
    limits = {"low": low, "high": high, "choices": choices, "positive": positive}
    return field(default=default, metadata={"help": text, **limits})


@dataclass(frozen=True)
class Config:
    """All settings of a run.

    Raises:
        InputError: if a value has the wrong type or lies outside its range.
    """

    # Data
    data: str | None = _setting(None, "data folder; none: a phantom is generated beside the run")
    unlabelled: str | None = _setting(None, "folder with further unlabelled images")
    patient_pattern: str | None = _setting(
        None, "regular expression on file names whose first group is the patient"
    )
    classes: tuple[str, ...] | None = _setting(
        None, "class names, background first; none: from dataset.json, else from the masks"
    )
    ignore_label: int | None = _setting(
        None, "mask value that no loss and no metric counts; none: dataset.json, else 255", 1, 255
    )
    channels: int | None = _setting(None, "image channels; none: read from the images", 1)
    image_size: int | tuple[int, int] = _setting(
        256, "side of the images that the network sees, in pixels; or [height, width]", 8, 8192
    )
    crop: int | tuple[int, int] | None = _setting(
        None, "centred window that is cut before resizing, in source pixels; none: all", 8
    )
    window: str | tuple[float, float] | None = _setting(
        None,
        "intensities that become 0 and 1: percentile (0.5 and 99.5), percentile-by-channel, "
        "minmax, a preset for CT, C300 W600 (centre, width), or [low, high]; none: from "
        "dataset.json, else percentile, by channel where each has a file or a frame",
    )
    spacing_mm: float | tuple[float, float] | None = _setting(
        None,
        "pixel size that the networks see, in mm, or [row, column]; undone at prediction; "
        "none: pixels as they are",
        0,
        100,
        positive=True,
    )
    slice_axis: str = _setting("acquisition", "how volumes are cut into slices", choices=SLICE_AXES)
    series: str | None = _setting(
        None, "which series of DICOM folders with several: its number, description or UID"
    )
    keep_identifiers: bool = _setting(
        False, "name patients by their DICOM PatientID instead of a salted hash of it"
    )
    augment: tuple[str, ...] = _setting(
        ("affine", "elastic", "gamma", "noise"),
        "random changes of the training images; add flip where left and right are alike",
        choices=AUGMENTATIONS,
    )

    # Split, by patients
    labelled_patients: int | tuple[str, ...] | None = _setting(
        None, "training patients whose masks are used: a number or names; none: all", 1
    )
    labelled_fraction: float | None = _setting(
        None, "the same as a share of the training patients that have masks", 0, 1, positive=True
    )
    val_patients: int | tuple[str, ...] | None = _setting(
        None, "validation patients: a number or names; none: cases.csv, else a fifth", 0
    )
    test_patients: int | tuple[str, ...] | None = _setting(
        None, "test patients: a number or names; none: cases.csv, else no test set", 0
    )

    # Networks
    model: str = _setting("unet", "segmenter", choices=MODELS)
    base_filters: int = _setting(32, "filters of the segmenter's first level", 1, 1024)
    depth: int = _setting(4, "times that the segmenter halves the resolution", 1, 8)
    norm: str = _setting("batch", "normalisation in the segmenter", choices=NORMS)
    upsampling: str = _setting(
        "transposed", "up-sampling in the segmenter", choices=("transposed", "bilinear")
    )
    discriminator_filters: tuple[int, ...] | None = _setting(
        None,
        "filters of the discriminator; one layer with 1 follows; none: the paper's, with recipe "
        "strong as many as suit the smallest class",
        1,
        4096,
    )
    discriminator_strides: int | tuple[int, ...] = _setting(
        2, "stride of all its layers, or of each, the last one included", 1, 4
    )
    discriminator_spectral_norm: bool = _setting(
        False, "keep the spectral norm of its kernels at 1"
    )

    # Method
    recipe: str = _setting("paper", "how S learns, and from what", choices=recipes.RECIPES)
    steps: int | None = _setting(None, f"optimizer steps; none: {DEFAULT_STEPS}", 1)
    epochs: int | None = _setting(None, "passes over the labelled images, instead of steps", 1)
    warmup: float | None = _setting(
        None, "share of the steps before the semi-supervised stage; none: 0.3, strong 0.1", 0, 1
    )
    lambda_adv: float = _setting(0.01, "weight of L_adv on labelled images", 0)
    lambda_adv_unlabelled: float = _setting(0.0, "weight of L_adv on unlabelled images", 0)
    lambda_semi: float | None = _setting(None, "weight of L_semi; none: 0.1, strong 1", 0)
    t_semi: float | str | None = _setting(
        None,
        "confidence above which a pseudo-label is trusted; auto (recipe strong alone): found on "
        "the validation patients, for every class; none: 0.2, strong auto",
        0,
        1,
    )
    exclude_outliers: bool = _setting(
        False, "leave unlabelled patients out who are unlike the labelled ones"
    )
    discriminator_fakes: str = _setting(
        "labelled",
        "predictions that the discriminator learns as fake",
        choices=("labelled", "both"),
    )

    # Optimisation
    batch_size: int = _setting(8, "labelled images in a step", 1)
    unlabelled_batch_size: int = _setting(8, "unlabelled images in a step", 1)
    learning_rate: float = _setting(1e-3, "segmenter's, at the start", 0, positive=True)
    discriminator_learning_rate: float = _setting(
        1e-4, "discriminator's, at the start", 0, positive=True
    )
    weight_decay: float = _setting(1e-4, "segmenter's decoupled weight decay", 0)
    averaging: float = _setting(
        0.99,
        "decay of the moving average of the segmenter's weights that predicts; 0: none",
        0,
        0.9999,
    )
    precision: str = _setting(
        "float32", "arithmetic of the networks", choices=("float32", "bfloat16")
    )
    seed: int = _setting(
        0, "seed of the split, the weights, the order and the augmentation", 0, 2**32 - 1
    )

    # Supervision of the run
    validate_every: int | None = _setting(
        None, "steps between validations and checkpoints; none: a twentieth, at least 50", 1
    )
    early_stopping: int | None = _setting(
        None, "validations without improvement after which training stops; none: never", 1
    )

    def __post_init__(self) -> None:
        """Brings every value to its type and checks it."""
        hints = typing.get_type_hints(type(self))
        for f in dataclasses.fields(self):
            value = coerce(f.name, getattr(self, f.name), hints[f.name], f.metadata["choices"])
            object.__setattr__(self, f.name, value)
            for item in value if isinstance(value, tuple) else (value,):
                check_range(f.name, item, f.metadata)
        self._check_together()

    def _check_together(self) -> None:
        """Refuses values that are right each but wrong together."""
        if self.steps is not None and self.epochs is not None:
            raise InputError("steps and epochs: expected one of them, received both; drop one")
        if self.labelled_patients is not None and self.labelled_fraction is not None:
            raise InputError(
                "labelled_patients and labelled_fraction: expected one of them, received both; "
                "drop one"
            )
        try:
            windows.limits(self.window or DEFAULT_WINDOW)
        except ValueError as error:
            raise InputError(f"window: {error}") from error
        if self.crop is not None and self.spacing_mm is not None:
            raise InputError(
                "crop and spacing_mm: expected one of them, received both; with spacing_mm the "
                "networks see image_size pixels of that size"
            )
        recipes.check(self)
        if self.classes is not None and not 2 <= len(self.classes) <= 255:
            raise InputError(f"classes: expected 2 to 255 names, received {len(self.classes)}")
        self._check_names()

    def _check_names(self) -> None:
        """Refuses classes that scores could not tell apart, or that nothing would count."""
        names = self.classes or ()
        if len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise InputError(
                f"classes: expected names that differ, none of them blank, received {list(names)}"
            )
        if self.ignore_label is not None and self.ignore_label < len(names):
            raise InputError(
                f"ignore_label: expected a value that is no class, received {self.ignore_label}, "
                f"which is {names[self.ignore_label]}; give another value, or drop it"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Config:
        """Makes a configuration from names and values.

        Raises:
            InputError: if a name is unknown (the nearest is suggested) or a value is wrong.
        """
        names = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
                mend = f"did you mean {near[0]}?" if near else "see docs/configuration.md"
                raise InputError(f"unknown setting {name!r}; {mend}")
        return cls(**values)

    def replace(self, **values: Any) -> Config:
        """A copy with other values, checked again."""
        return dataclasses.replace(self, **values)

    def to_yaml(self) -> str:
        """The configuration as YAML that `read_settings` reads back."""
        values = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }
        return yaml.safe_dump(values, sort_keys=False)

    def by_recipe(self) -> Config:
        """The same with what its recipe decides filled in."""
        decided = recipes.defaults(self.recipe)
        return self.replace(
            **{name: value for name, value in decided.items() if getattr(self, name) is None}
        )

    def total_steps(self, labelled_images: int | None = None) -> int:
        """Optimizer steps of the run.

        Args:
            labelled_images: slices of the labelled patients, of which an epoch is one pass; not
                needed where `steps` are given, as they are in a resolved configuration.

        Raises:
            ValueError: if it is needed.
        """
        if self.epochs is not None:
            if labelled_images is None:
                raise ValueError("epochs: expected the number of labelled images, received None")
            return self.epochs * -(-labelled_images // self.batch_size)
        return self.steps if self.steps is not None else DEFAULT_STEPS

    def reading(self) -> dict[str, Any]:
        """The settings that tell how the cases of a folder are found."""
        names = ("patient_pattern", "series", "keep_identifiers")
        return {name: getattr(self, name) for name in names}

    def ignored(self) -> int:
        """The mask value that no loss and no metric counts."""
        return DEFAULT_IGNORE_LABEL if self.ignore_label is None else self.ignore_label

    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of the networks' pixels in mm, None for the image's own."""
        return None if self.spacing_mm is None else _pair(self.spacing_mm)

    def size(self) -> tuple[int, int]:
        """Height and width of the images that the network sees, in pixels."""
        return _pair(self.image_size)

    def crop_size(self) -> tuple[int, int] | None:
        """Height and width of the centred window in source pixels, None for the whole image."""
        return None if self.crop is None else _pair(self.crop)


def read_settings(path: Path) -> dict[str, Any]:
    """Reads the settings of a YAML file, unchecked.

    Raises:
        InputError: if the file is missing or is not a YAML mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"{path}: expected a YAML file of settings, {reason}") from error
    except yaml.YAMLError as error:
        line = " ".join(str(error).split())
        raise InputError(f"{path}: expected YAML, received what cannot be read: {line}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected `name: value` lines, received {type(values).__name__}")
    return values


def parse_assignment(text: str) -> tuple[str, Any]:
    """Splits `name=value`; the value is read as YAML, so `[1, 2]`, `null` and `0.5` work.

    Raises:
        InputError: if there is no `=`, or the value is not YAML.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text}: expected name=value, for example --set steps=1000")
    try:
        return name.strip().replace("-", "_"), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {text}: the value is not YAML; put it in quotes") from error


def _pair(value: Number | tuple[Number, Number]) -> tuple[Number, Number]:
    return value if isinstance(value, tuple) else (value, value)
