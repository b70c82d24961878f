"""The versions of models in a folder, and which of them are served."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfadvseg.errors import InputError

Fingerprint = tuple[tuple[str, int, int], ...]
Versions = dict[int, Path]

_EXPORTS = {  # the command that writes each
    "saved_model.pb": "savedmodel",
    "model.onnx": "onnx",
    "model.xml": "openvino",
    "model.plan": "tensorrt",
}


@dataclass(frozen=True)
class Policy:
    """Which versions are served.

    Attributes:
        versions: these; the newest if there are none and no labels.
        labels: names for versions, which are served too.
    """

    versions: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    def choose(self, available: Collection[int]) -> set[int]:
        """Those of the available versions that shall be served."""
        if not available:
            return set()
        named = {*self.versions, *self.labels.values()} or {max(available)}
        return named & set(available)


def find_models(folder: Path, model_file: str) -> dict[str, Versions]:
    """The models in a folder, and their versions.

    Args:
        folder: with versions, and then itself the one model, or with a folder for each model.
        model_file: what a version must hold, such as saved_model.pb.

    Raises:
        InputError: if the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with exported models")
    versions = _find_versions(folder, model_file)
    if versions:
        return {folder.resolve().name: versions}
    # At the root of a disk there is a folder that nobody else may look into.
    children = sorted(
        child for child in folder.iterdir() if child.name != "lost+found" and child.is_dir()
    )
    found = {child.name: _find_versions(child, model_file) for child in children}
    return {name: versions for name, versions in found.items() if versions}


def no_model(folder: Path, model_file: str) -> InputError:
    """What to say where there is no model at all."""
    hint = f"`tfadvseg export {_EXPORTS[model_file]} RUN --out {folder / 'NAME'}` writes one"
    if (folder / model_file).is_file():
        hint = f"this is a version itself: give {folder.parent}, if its name is an integer"
    return InputError(
        f"{folder}: no model found; expected {folder}/<integer>/{model_file} or "
        f"{folder}/NAME/<integer>/{model_file}; {hint}"
    )


def fingerprint(version: Path) -> Fingerprint:
    """Changes while files of the version are written."""
    files = sorted(path for path in version.rglob("*") if path.is_file())
    facts = ((path, path.stat()) for path in files)
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in facts)


def _find_versions(model: Path, model_file: str) -> Versions:
    return {
        int(child.name): child
        for child in model.iterdir()
        if child.name.isdecimal() and (child / model_file).is_file()
    }
