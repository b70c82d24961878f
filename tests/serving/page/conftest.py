"""A real headless Chromium, asked over its DevTools protocol, and a server whose page it opens."""

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request

import aiohttp
import cv2
import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Tab:
    """A tab of a browser."""

    def __init__(self, loop, socket):
        self.loop, self.socket, self.number, self.events = loop, socket, 0, []
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """A command of the protocol; what happens meanwhile is kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        self.loop.run_until_complete(self.socket.send_json(message))
        while True:
            answer = self.loop.run_until_complete(self.socket.receive_json(timeout=60))
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def js(self, expression):
        """The value of an expression in the page."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression, seconds=60):
        """The first true value of an expression."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.js(expression):
                return value
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {expression}; the page: {self.text('body')!r}")

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.until("document.readyState == 'complete' && location.href != 'about:blank'")

    def text(self, selector):
        """What of an element a reader sees."""
        return self.js(f"document.querySelector({selector!r}).innerText")

    def shown(self, selector):
        return self.js(f"document.querySelector({selector!r}).checkVisibility()")

    def click(self, selector):
        self.js(f"document.querySelector({selector!r}).click()")

    def choose(self, selector, path):
        """Chooses a file in a file input, as its dialogue does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def drop(self, path, x=300, y=300):
        """Drags a file into the window and lets it go."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def key(self, name):
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name)

    def size(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def urls(self):
        """Of all that the page asked for."""
        self.js("1")  # takes what has happened
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def faults(self):
        """What the console shows in red."""
        self.js("1")
        thrown = [e for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        logged = [e["params"]["entry"] for e in self.events if e["method"] == "Log.entryAdded"]
        return thrown + [entry for entry in logged if entry["level"] == "error"]


class Browser:
    """A process of its own, with an empty profile."""

    def __init__(self, program, folder):
        self.folder, self.loop = folder, asyncio.new_event_loop()
        self.process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder / 'profile'}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.session = self.loop.run_until_complete(self._session())
        self.sockets = []

    async def _session(self):
        return aiohttp.ClientSession()

    def tab(self):
        port = self._port()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/json/new", method="PUT")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            url = json.load(answer)["webSocketDebuggerUrl"]
        connect = self.session.ws_connect(url, max_msg_size=0)
        self.sockets.append(self.loop.run_until_complete(connect))
        return Tab(self.loop, self.sockets[-1])

    def _port(self):
        file = self.folder / "profile" / "DevToolsActivePort"
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if file.is_file() and (lines := file.read_text().splitlines()):
                return int(lines[0])
            assert self.process.poll() is None, "Chromium has ended"
            time.sleep(0.05)
        raise AssertionError("Chromium does not listen")

    def close(self):
        for socket in self.sockets:
            self.loop.run_until_complete(socket.close())
        self.loop.run_until_complete(self.session.close())
        self.loop.close()
        os.killpg(self.process.pid, signal.SIGKILL)  # its session is its own
        self.process.wait()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no Chromium on the PATH ({', '.join(PROGRAMS)}): the page is not tested")
    started = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield started
    started.close()


@pytest.fixture
def tab(browser, page_server):
    """A tab at the page, which has to stay within the server and free of faults."""
    origin = f"http://127.0.0.1:{page_server.ports()[1]}/"
    tab = browser.tab()
    tab.size(1200, 800)
    tab.open(origin)
    tab.until("!document.querySelector('#example').disabled")
    yield tab
    assert [url for url in tab.urls() if not url.startswith((origin, "blob:" + origin))] == []
    assert tab.faults() == []
    tab.call("Page.close")


class Spaced(tf.Module):
    """Foreground is what is brighter than the height of a pixel, in micrometres."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 1], tf.float32, name="images"),
            tf.TensorSpec([None, 2], tf.float32, name="spacing_mm"),
        ]
    )
    def predict(self, images, spacing_mm):
        level = spacing_mm[:, 0, tf.newaxis, tf.newaxis] * 1000
        return {"mask": tf.cast(images[..., 0] > level, tf.uint8)}


class Foreign(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def double(self, x):
        return {"y": 2 * x}


@pytest.fixture(scope="session")
def page_server(start, saved, exported_run, tmp_path_factory):
    """A server of four models, with small limits and a folder of its own for temporary files.

    `heart` is a real export with confidence; `net` finds what is brighter than 128; `spaced` needs
    a pixel size; `foreign` has another signature.
    """
    folder, scratch = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("scratch")
    shutil.copytree(exported_run, folder / "heart" / "1")
    shutil.copytree(saved, folder / "net" / "1")
    for name, module in (("spaced", Spaced()), ("foreign", Foreign())):
        function = module.predict if name == "spaced" else module.double
        tf.saved_model.save(module, str(folder / name / "1"), {"serving_default": function})
    limits = ("--max-body-mb=2", "--max-pixels=1000000")
    process = start(folder, *limits, environment={"TMPDIR": str(scratch)})
    process.ports()
    process.scratch = scratch
    return process


@pytest.fixture(scope="session")
def page_client(page_server):
    return page_server.client()


@pytest.fixture
def square(tmp_path):
    """A picture with a bright rectangle of 300 pixels, as a file."""
    path = tmp_path / "Doe_John.png"
    pixels = np.full((40, 50), 60, np.uint8)
    pixels[10:25, 5:25] = 200
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


@pytest.fixture
def volume(tmp_path):
    """A CT-like volume that runs against the patient's axes; slice k has a square of side k + 1."""
    voxels = np.full((6, 20, 24), -50, np.int16)
    for k in range(6):
        voxels[k, 3 : 4 + k, 5 : 6 + k] = 300
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((11.0, -20.0, 7.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, -1))
    path = tmp_path / "chest.nii.gz"
    sitk.WriteImage(image, str(path))
    return path
