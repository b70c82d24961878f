"""What lies where in an exported model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfadvseg.config import Config
from tfadvseg.errors import InputError
from tfadvseg.inference.engines import MODEL_FILES

DESCRIPTION = "model.json"


@dataclass(frozen=True)
class ExportFolder:
    """A version of an exported model.

    Attributes:
        path: its folder.
    """

    path: Path

    @classmethod
    def find(cls, model: Path) -> ExportFolder | None:
        """The version that a folder is, or the newest one in it; None if there is none."""
        if not model.is_dir():
            return None
        numbered = [child for child in model.iterdir() if child.name.isdecimal()]
        newest_first = sorted(numbered, key=lambda child: int(child.name), reverse=True)
        return next((cls(path) for path in (model, *newest_first) if _engines(path)), None)

    @property
    def engine(self) -> str:
        """That it was exported for."""
        return self.engines[0]

    @property
    def engines(self) -> list[str]:
        """Those that its files are for: ONNX Runtime takes what TensorRT was built from."""
        return _engines(self.path)

    @property
    def is_described(self) -> bool:
        """Whether it tells how it sees images, as this program's exports do."""
        return self._description() is not None

    def read_config(self) -> Config:
        """How the model sees images.

        Raises:
            InputError: if it was not exported by this program.
        """
        about = self.read_description()
        known = {"classes": about["classes"], "channels": about["channels"], **about["settings"]}
        return Config.from_mapping(known)

    def read_description(self) -> dict[str, Any]:
        """What it says of itself.

        Raises:
            InputError: if it was not exported by this program.
        """
        file = self._description()
        if file is None:
            raise InputError(
                f"{self.path}: expected a model that `tfadvseg export` wrote, received one without "
                f"{DESCRIPTION}; export it again"
            )
        return dict(json.loads(file.read_text(encoding="utf-8")))

    def _description(self) -> Path | None:
        places = (self.path, self.path / "assets.extra")  # the second one in SavedModels
        files = (place / DESCRIPTION for place in places)
        return next((file for file in files if file.is_file()), None)


def _engines(folder: Path) -> list[str]:
    return [engine for engine, file in MODEL_FILES.items() if (folder / file).is_file()]
