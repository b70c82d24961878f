"""Which versions are loaded when, with folders that hold a text instead of a model."""

import asyncio
import shutil

import pytest

from tfadvseg.errors import InputError
from tfadvseg.serving.manager import Manager, Reference
from tfadvseg.serving.metrics import Metrics
from tfadvseg.serving.servable import State
from tfadvseg.serving.status import ServingError
from tfadvseg.serving.versions import Policy


def load(path):
    """Signatures are the text of the file; a text with `broken` in it cannot be loaded."""
    text = (path / "model").read_text()
    if "broken" in text:
        raise ValueError(text)
    return {"text": text}


def write(folder, version, text="good", name="net"):
    path = folder / name / str(version)
    path.mkdir(parents=True, exist_ok=True)
    (path / "model").write_text(text)


class Watched:
    def __init__(self, folder, policy):
        self.folder, self.metrics = folder, Metrics()
        self.manager = Manager(folder, "model", load, policy, self.metrics)

    async def look(self, *, at_once=True):
        await self.manager.look(at_once=at_once)
        for _ in range(3):  # what is unloaded runs beside
            await asyncio.sleep(0)

    def served(self, name="net"):
        states = self.manager.states(Reference(name))
        return [one.version for one in states if one.state is State.AVAILABLE]

    def find(self, **which):
        return self.manager.find(Reference("net", **which)).version


@pytest.fixture
def watched(tmp_path):
    return lambda **policy: Watched(tmp_path, Policy(**policy))


def test_the_newest_is_served_and_replaced(tmp_path, watched):
    async def story():
        one = watched()
        for version in (2, 10, 9):
            write(tmp_path, version)
        await one.look()
        assert one.served() == [10] and one.find() == 10 and one.manager.ready
        write(tmp_path, 11)
        await one.look()
        assert one.served() == [11]
        assert one.manager.states(Reference("net", 10))[0].state is State.END

    asyncio.run(story())


def test_before_the_first_look_is_over_nothing_is_missing(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        for ask in (one.manager.find, one.manager.states):
            with pytest.raises(ServingError, match="being loaded") as caught:
                ask(Reference("net"))
            assert caught.value.code.name == "UNAVAILABLE" and caught.value.http == 503
        assert not one.manager.ready
        await one.look()
        assert one.find() == 1

    asyncio.run(story())


def test_a_version_is_loaded_when_its_files_have_settled(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        await one.look()
        write(tmp_path, 2, "half")
        await one.look(at_once=False)
        assert one.served() == [1]
        write(tmp_path, 2, "whole now")
        await one.look(at_once=False)
        assert one.served() == [1]
        await one.look(at_once=False)
        assert one.served() == [2]

    asyncio.run(story())


def test_a_broken_version_never_replaces_a_good_one(tmp_path, watched, caplog):
    async def story():
        one = watched()
        write(tmp_path, 1)
        write(tmp_path, 2, "broken")
        for _ in range(3):
            await one.look()
        assert one.served() == [1]
        broken = one.manager.states(Reference("net", 2))[0]
        assert broken.state is State.END and broken.error == "ValueError: broken"
        assert caplog.text.count("cannot be loaded") == 1
        write(tmp_path, 2, "mended")
        await one.look()
        assert one.served() == [2]

    asyncio.run(story())


def test_what_vanishes_is_unloaded(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        write(tmp_path, 2)
        write(tmp_path, 1, name="other")
        await one.look()
        shutil.rmtree(tmp_path / "net" / "2")
        await one.look()
        assert one.served() == [1] and one.manager.ready
        shutil.rmtree(tmp_path / "net")
        await one.look()
        assert one.served() == [] and one.served("other") == [1] and one.manager.ready
        with pytest.raises(ServingError, match="Servable not found"):
            one.find()

    asyncio.run(story())


def test_requests_at_work_keep_a_version_loaded(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        await one.look()
        servable = one.manager.find(Reference("net"))
        with servable.in_use() as signatures:
            write(tmp_path, 2)
            await one.look()
            assert one.find() == 2 and servable.state is State.UNLOADING
            assert servable.signatures is signatures
        for _ in range(3):
            await asyncio.sleep(0)
        assert servable.state is State.END and servable.signatures is None

    asyncio.run(story())


def test_versions_and_labels(tmp_path, watched):
    async def story():
        one = watched(versions=(2,), labels={"stable": 1})
        for version in (1, 2, 3):
            write(tmp_path, version)
        await one.look()
        assert one.served() == [2, 1]
        assert one.find() == 2 and one.find(label="stable") == 1 and one.find(version=1) == 1
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            one.find(label="canary")
        with pytest.raises(ServingError, match=r"Specific\(net, 3\)"):
            one.find(version=3)

    asyncio.run(story())


def test_a_folder_that_cannot_be_read_changes_nothing(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path / "drive", 1)
        one = Watched(tmp_path / "drive", Policy())
        await one.look()
        (tmp_path / "drive").rename(tmp_path / "gone")
        with pytest.raises(InputError, match="no such folder"):
            await one.look()
        assert one.served() == [1]

    asyncio.run(story())


def test_the_folder_of_lost_files_of_a_disk_is_no_model(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        write(tmp_path, 1, name="lost+found")
        await one.look()
        assert one.served() == [1] and one.manager.names() == ["net"]

    asyncio.run(story())


def test_a_model_that_is_added_keeps_the_others_ready(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        assert not one.manager.ready
        await one.look()
        assert one.manager.ready
        write(tmp_path, 1, "broken", name="new")
        await one.look()
        assert one.manager.ready and one.served("new") == []
        write(tmp_path, 2, name="new")
        await one.look()
        assert one.manager.ready and one.served("new") == [2]

    asyncio.run(story())


def test_a_model_that_is_broken_from_the_start_is_not_ready(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        write(tmp_path, 1, "broken", name="other")
        await one.look()
        assert not one.manager.ready

    asyncio.run(story())


def test_metrics_name_what_is_served(tmp_path, watched):
    async def story():
        one = watched()
        write(tmp_path, 1)
        await one.look()
        write(tmp_path, 2)
        await one.look()
        page = one.metrics.page().decode()
        assert 'tfadvseg_serving_version_available{model_name="net",version="2"} 1.0' in page
        assert 'version="1"' not in page

    asyncio.run(story())
