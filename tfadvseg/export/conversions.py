"""A run in another engine: converted and compared with the run at first use, then kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tfadvseg import __version__
from tfadvseg.data.image import Source
from tfadvseg.export.description import chain_specs, how_it_sees
from tfadvseg.export.onnx_model import save_onnx
from tfadvseg.export.openvino_model import save_openvino
from tfadvseg.export.parity import EXACT, check_predictor
from tfadvseg.export.samples import Sample, slices_of
from tfadvseg.export.tensorrt_engine import save_tensorrt
from tfadvseg.export.tensorrt_profiles import Profile, choose_lasting
from tfadvseg.inference.engines import MODEL_FILES, loader, release
from tfadvseg.inference.export_folder import DESCRIPTION
from tfadvseg.inference.exported import ExportedPredictor
from tfadvseg.inference.predictor import Predictor, SlicePredictor
from tfadvseg.run_folder import RunFolder, write_text

CHAIN = 2  # counts changes of what surrounds the networks: older conversions answer otherwise
WRITERS: dict[str, Callable[..., None]] = {
    "onnxruntime": save_onnx,
    "openvino": save_openvino,
    "tensorrt": save_tensorrt,
}


class Conversions:
    """The model of a run in other engines.

    Converted models lie in the user's cache, under the hash of the model: they may be deleted at
    any time. What was compared with the run there is not compared again.

    Args:
        run: the run folder.
        checkpoint: `best` or `last`.
        sources: the images to predict; engines are compared on some of their slices.

    Raises:
        InputError: if there is no such run, or no such model in it.
    """

    def __init__(self, run: Path, checkpoint: str, sources: Sequence[Source]):
        self._run, self._checkpoint, self._sources = run, checkpoint, sources
        self.folder = cache() / _hash(RunFolder(run), checkpoint)

    @cached_property
    def original(self) -> Predictor:
        """The run's own predictor."""
        return Predictor.load(self._run, self._checkpoint)

    @cached_property
    def samples(self) -> list[Sample]:
        """Slices to compare engines on."""
        return slices_of(self._sources, self.original)

    @cached_property
    def _profile(self) -> Profile:
        """The sizes that an engine of TensorRT is built for."""
        return choose_lasting(self.samples)

    def load(self, engine: str) -> SlicePredictor:
        """The predictor of an engine, converted and compared with the run where it is new.

        Args:
            engine: `tensorflow`, or a key of WRITERS.

        Raises:
            InputError: if the engine cannot compute here.
            ExportError: if the engine says something else than the run.
        """
        if engine == "tensorflow":
            return self.original
        loader(engine)  # refuses before the conversion
        model = self.folder / release(engine)
        if engine == "tensorrt":
            model = model.with_name(f"{model.name}-{self._profile}")
        if not model.is_dir():
            self._convert(engine, model)
        predictor = ExportedPredictor.load(model)
        compared = model / "compared.json"
        if not compared.is_file():
            parity = check_predictor(predictor, self.original, self.samples, EXACT)
            write_text(compared, json.dumps(parity.to_json()) + "\n")
        return predictor

    def _convert(self, engine: str, model: Path) -> None:
        """Writes the model of an engine, whole or not at all."""
        original, options, about = self.original, {}, how_it_sees(self.original.config)
        confidence = original.has_confidence
        if engine == "tensorrt":
            options["profile"] = self._profile
            about["tensorrt"] = {"profile": self._profile.to_json()}
            about["signatures"] = {"serving_default": chain_specs(original, confidence=confidence)}
        model.parent.mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=model.parent))
        try:
            file = writing / MODEL_FILES[engine]
            WRITERS[engine](file, original, confidence=confidence, **options)
            write_text(writing / DESCRIPTION, json.dumps(about) + "\n")
            with suppress(OSError):  # another process was faster
                writing.rename(model)
        finally:
            shutil.rmtree(writing, ignore_errors=True)


def cache() -> Path:
    """Where converted models are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tfadvseg" / "engines"


def _hash(folder: RunFolder, checkpoint: str) -> str:
    """Names what the conversion depends on."""
    folder.read_config()  # refuses what is no run
    files = [folder.model(checkpoint), folder.path / "config.yaml"]
    content = b"".join(file.read_bytes() for file in files) + f"{__version__} {CHAIN}".encode()
    return hashlib.sha256(content).hexdigest()[:20]
