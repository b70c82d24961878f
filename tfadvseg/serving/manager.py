"""Keeps the served versions in step with the folder, without dropping a request."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from grpc import StatusCode

from tfadvseg.errors import InputError
from tfadvseg.inference.engines.signature import Signatures
from tfadvseg.serving.about import About, read_about
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.servable import Servable, State
from tfadvseg.serving.status import ServingError, invalid
from tfadvseg.serving.versions import Fingerprint, Policy, Versions, find_models, fingerprint
from tfadvseg.serving.warmup import warm_up

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """The model that a request names, and maybe a version, by number or label."""

    name: str
    version: int | None = None
    label: str | None = None


class Manager:
    """The models of a folder.

    Args:
        folder: that is watched.
        model_file: what a version must hold.
        load: from the folder of a version to its signatures.
        policy: which versions are served.
        metrics: where to count them.
    """

    def __init__(
        self,
        folder: Path,
        model_file: str,
        load: Callable[[Path], Signatures],
        policy: Policy,
        metrics: Metrics,
    ):
        self._folder, self._model_file, self._load = folder, model_file, load
        self._policy, self._metrics = policy, metrics
        self._models: dict[str, dict[int, Servable]] = {}
        self._present: set[str] = set()
        self._expected: set[str] = set()
        self._began = False
        self._seen: dict[Path, Fingerprint] = {}
        self._loading = ThreadPoolExecutor(1, "load")
        self._unloading: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """Whether every model has a version that is served.

        Those that the folder had at first, or that were served once: one that is added takes the
        others out of no service while it loads, nor if it is broken.
        """
        wanted = self._present & self._expected
        return bool(wanted) and all(self._available(self._models.get(name, {})) for name in wanted)

    def names(self) -> list[str]:
        """Of the models that have been seen."""
        return sorted(self._models)

    def find(self, reference: Reference) -> Servable:
        """The version that a request is for: the newest, unless it names one.

        Raises:
            ServingError: if it is not served, or the server has just been started.
        """
        self._check_began()
        available = self._available(self._models.get(reference.name, {}))
        wanted = self._number(reference)
        version = max(available, default=None) if wanted is None else wanted
        if version is None or version not in available:
            asked = reference.name if wanted is None else f"{reference.name}, {wanted}"
            kind = "Latest" if wanted is None else "Specific"
            raise ServingError(
                StatusCode.NOT_FOUND,
                "unknown model or version",
                f"Servable not found for request: {kind}({asked})",
            )
        return available[version]

    def states(self, reference: Reference) -> list[Servable]:
        """The versions of a model, newest first, or the one that is named.

        Raises:
            ServingError: if there is none, or the server has just been started.
        """
        self._check_began()
        versions = self._models.get(reference.name, {})
        wanted = self._number(reference)
        if wanted is not None and wanted in versions:
            return [versions[wanted]]
        if wanted is not None or not versions:
            which = f"version {wanted}" if wanted is not None else "any versions"
            message = f"Could not find {which} of model {reference.name}"
            raise ServingError(StatusCode.NOT_FOUND, "unknown model or version", message)
        return [versions[version] for version in sorted(versions, reverse=True)]

    async def watch(self, seconds: float) -> None:
        """Looks at the folder again and again."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
            except (OSError, InputError) as error:
                # What is loaded stays: a network drive may come back.
                log.error("folder cannot be read: %s", error)

    async def look(self, *, at_once: bool = False) -> None:
        """Loads and unloads what has to be.

        Args:
            at_once: whether to load versions too whose files may still be being written.

        Raises:
            InputError: if there is no folder.
        """
        found = await asyncio.to_thread(find_models, self._folder, self._model_file)
        prints = await asyncio.to_thread(_fingerprints, found)
        settled = {path for path in prints if at_once or self._seen.get(path) == prints[path]}
        self._seen, self._present = prints, set(found)
        if not self._began:
            self._expected = set(found)
        for name in sorted({*found, *self._models}):
            await self._tend(name, found.get(name, {}), settled)
        self._began = True

    async def _tend(self, name: str, found: Versions, settled: set[Path]) -> None:
        """Brings one model in step: first all that is to be loaded, and then what is to go."""
        versions = self._models.setdefault(name, {})
        while True:
            available = self._available(versions)
            sound = {
                version
                for version, path in found.items()
                if version in available or path in settled and self._is_sound(name, version, path)
            }
            wanted = self._policy.choose(sound)
            missing = sorted(wanted - set(available))
            if not missing:
                break
            await self._take(name, missing[0], found[missing[0]])
        for version in set(available) - wanted:
            task = asyncio.create_task(self._release(available[version]))
            self._unloading.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(self._unloading.discard)

    def _is_sound(self, name: str, version: int, path: Path) -> bool:
        """Whether a version has not failed to load, or has changed since."""
        servable = self._models[name].get(version)
        return servable is None or servable.broken != self._seen[path]

    async def _take(self, name: str, version: int, path: Path) -> None:
        """Loads a version and warms it up; it is served only if both succeed."""
        servable = Servable(name, version, State.LOADING)
        self._models[name][version] = servable
        work = asyncio.get_running_loop().run_in_executor(self._loading, self._prepare, path)
        try:
            servable.signatures, servable.about = await work
        except Exception as error:  # whatever an engine raises on a broken file
            servable.error = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            servable.broken, servable.state = self._seen[path], State.END
            log.error("model=%s version=%d cannot be loaded: %s", name, version, servable.error)
        else:
            servable.state = State.AVAILABLE
            self._expected.add(name)
            self._metrics.versions.labels(name, version).set(1)
            log.info("model=%s version=%d is served", name, version)

    def _prepare(self, path: Path) -> tuple[Signatures, About]:
        signatures = self._load(path)
        warm_up(path, signatures)
        return signatures, read_about(path)

    async def _release(self, servable: Servable) -> None:
        self._metrics.versions.remove(servable.name, servable.version)
        await servable.unload()
        gc.collect()  # graphs refer to themselves in circles
        log.info("model=%s version=%d is unloaded", servable.name, servable.version)

    def _check_began(self) -> None:
        """Until the first look is over, no model is missing; TensorFlow Serving does not listen."""
        if not self._began:
            message = "the models are being loaded; try again soon"
            raise ServingError(StatusCode.UNAVAILABLE, "starting", message)

    def _number(self, reference: Reference) -> int | None:
        if reference.label is None:
            return reference.version
        if reference.label not in self._policy.labels:
            raise invalid(
                "unknown label", f"Unrecognized servable version label: {reference.label}"
            )
        return self._policy.labels[reference.label]

    @staticmethod
    def _available(versions: Mapping[int, Servable]) -> dict[int, Servable]:
        return {
            version: servable
            for version, servable in versions.items()
            if servable.state is State.AVAILABLE
        }


def _fingerprints(found: Mapping[str, Versions]) -> dict[Path, Fingerprint]:
    """Of every version; one that vanishes at this moment is left out, and so is not loaded."""
    prints = {}
    for path in (path for versions in found.values() for path in versions.values()):
        try:
            prints[path] = fingerprint(path)
        except FileNotFoundError:
            continue
    return prints
