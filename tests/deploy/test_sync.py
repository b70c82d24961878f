"""sync-models.sh with real rclone, against the S3 server that rclone brings."""

import os
import re
import subprocess

import pytest

FILES = ("saved_model.pb", "variables/variables.index", "assets.extra/model.json")
KEYS = ("key", "a secret of some length")


class Bucket:
    """A server of S3 on a folder, and a pod's folder that is kept in step with it."""

    def __init__(self, rclone, script, folder):
        self.folder, self.models = folder, folder / "models" / "heart"
        (folder / "store" / "models").mkdir(parents=True)
        # With 0 s the server was once busy for ever, and answered nobody.
        command = [rclone, "serve", "s3", "store", "--addr=127.0.0.1:0", "--dir-cache-time=10ms"]
        quiet = {"RCLONE_CONFIG": str(folder / "rclone.conf")}
        self.process = subprocess.Popen(
            [*command, f"--auth-key={','.join(KEYS)}"],
            cwd=folder,
            env={**os.environ, **quiet},
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                break
        names = dict(TYPE="s3", PROVIDER="Other", ENDPOINT=found[0], REGION="us-east-1")
        names |= dict(ACCESS_KEY_ID=KEYS[0], SECRET_ACCESS_KEY=KEYS[1])
        self.script, self.environment = (
            script,
            {
                **os.environ,
                **quiet,
                **{f"RCLONE_CONFIG_STORE_{name}": value for name, value in names.items()},
                "PATH": os.pathsep.join([os.path.dirname(rclone), os.environ["PATH"]]),
                "MODEL_SOURCE": "store:models/heart",
                "MODEL_FOLDER": str(self.models),
            },
        )

    def run(self, *command):
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def sync(self):
        return self.run("sh", str(self.script), "once")

    def put(self, version, *files):
        for file in files or FILES:
            path = self.folder / "store" / "models" / "heart" / str(version) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{version} {file}")

    def versions(self):
        """What a server sees."""
        return sorted(path.name for path in self.models.glob("[0-9]*"))


@pytest.fixture
def bucket(tool, deploy, tmp_path):
    script = deploy / "kubernetes" / "components" / "object-store" / "sync-models.sh"
    found = Bucket(tool("rclone"), script, tmp_path)
    yield found
    found.process.kill()
    found.process.communicate()


def test_versions_come_whole_and_go(bucket):
    bucket.put(1)
    done = bucket.sync()
    assert done.returncode == 0, done.stderr
    assert bucket.versions() == ["1"] and (bucket.models / ".synced").exists()
    for file in FILES:
        assert (bucket.models / "1" / file).read_text() == f"1 {file}"

    bucket.put(2, *FILES[1:])  # the upload has begun
    bucket.put("notes", FILES[0])
    assert bucket.sync().returncode == 0
    assert bucket.versions() == ["1"]

    for version in (2, 9, 10):
        bucket.put(version)
    assert bucket.sync().returncode == 0
    assert bucket.versions() == ["10", "9"]
    assert not list(bucket.models.glob(".incoming*")) and not list(bucket.models.glob(".out*"))


def test_a_store_that_is_empty_or_away_changes_nothing(bucket):
    assert bucket.sync().returncode != 0
    assert not (bucket.models / ".synced").exists()
    bucket.put(1)
    assert bucket.sync().returncode == 0
    for file in FILES:
        (bucket.folder / "store" / "models" / "heart" / "1" / file).unlink()
    done = bucket.sync()
    assert done.returncode != 0 and "has no version" in done.stderr
    bucket.process.kill()
    bucket.environment["RCLONE_LOW_LEVEL_RETRIES"] = bucket.environment["RCLONE_RETRIES"] = "1"
    assert bucket.sync().returncode != 0
    assert bucket.versions() == ["1"]


def test_a_copy_that_was_cut_off_is_begun_anew(bucket):
    bucket.put(1)
    left = bucket.models / ".incoming" / "variables"
    left.mkdir(parents=True)
    (left / "left over").write_text("")
    assert bucket.sync().returncode == 0
    assert bucket.versions() == ["1"]
    assert not (bucket.models / "1" / "variables" / "left over").exists()


def test_commands_of_the_page_upload_a_version(bucket, readme):
    local = bucket.folder / "saved_models" / "heart" / "1"
    for file in FILES:
        (local / file).parent.mkdir(parents=True, exist_ok=True)
        (local / file).write_text(file)
    first, second = readme.blocks("bash", "Models in an object store")[0].splitlines()
    assert bucket.run("bash", "-c", first).returncode == 0
    assert bucket.sync().returncode != 0 and bucket.versions() == []
    assert bucket.run("bash", "-c", second).returncode == 0
    assert bucket.sync().returncode == 0
    assert (bucket.models / "1" / "saved_model.pb").read_text() == "saved_model.pb"


def test_what_is_missing_is_said(bucket):
    del bucket.environment["MODEL_SOURCE"]
    done = bucket.sync()
    assert done.returncode != 0 and "expected remote:bucket/model" in done.stderr
