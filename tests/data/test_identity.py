import os
import stat
import subprocess
import sys

import pytest

from tfadvseg.data.identity import pseudonym
from tfadvseg.errors import InputError


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.delenv("TFADVSEG_SALT", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path / "settings"


def test_a_patient_keeps_the_pseudonym_and_others_get_another(settings):
    name = pseudonym("Ärztin 4711")
    assert name == pseudonym("Ärztin 4711")
    word, digits = name.split("-")
    assert word == "patient" and len(digits) == 10 and set(digits) <= set("0123456789abcdef")
    others = {pseudonym(str(number)) for number in range(200)}
    assert len(others | {name}) == 201
    assert pseudonym("Ärztin 4711", "case").startswith("case-")
    assert pseudonym("Ärztin 4711", "case").split("-")[1] != digits


def test_the_salt_is_made_once_for_this_user_alone(settings):
    pseudonym("a")
    file = settings / "tfadvseg" / "salt"
    salt = file.read_bytes()
    assert len(salt) == 16
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    pseudonym("b")
    assert file.read_bytes() == salt
    assert os.listdir(file.parent) == ["salt"]


def test_another_salt_gives_another_pseudonym(settings, monkeypatch):
    own = pseudonym("a")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent / "other"))
    assert pseudonym("a") != own


def test_the_home_folder_holds_the_salt_where_no_folder_of_settings_is_set(settings, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(settings))
    monkeypatch.setenv("USERPROFILE", str(settings))
    pseudonym("a")
    assert (settings / ".config" / "tfadvseg" / "salt").is_file()


def test_the_variable_goes_before_the_file(settings, monkeypatch):
    monkeypatch.setenv("TFADVSEG_SALT", "sesame" * 40)
    name = pseudonym("a")
    assert not settings.exists()
    monkeypatch.setenv("TFADVSEG_SALT", "sesame" * 41)
    assert pseudonym("a") != name
    monkeypatch.setenv("TFADVSEG_SALT", "")
    with pytest.raises(InputError, match="TFADVSEG_SALT is empty"):
        pseudonym("a")


def test_processes_that_start_at_once_agree(settings):
    code = (
        "import sys; from tfadvseg.data.identity import pseudonym\n"
        "print('ready', flush=True); sys.stdin.readline(); print(pseudonym('a'))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    names = {process.communicate()[0] for process in started}
    assert names == {pseudonym("a") + "\n"}


def test_a_salt_that_was_made_meanwhile_is_kept(settings, monkeypatch):
    """The file appears between the look for it and the making of it."""
    file = settings / "tfadvseg" / "salt"
    file.parent.mkdir(parents=True)
    make = os.link

    def late(new, target):
        file.write_bytes(b"0123456789abcdef")
        make(new, target)

    monkeypatch.setattr(os, "link", late)
    name = pseudonym("a")
    assert file.read_bytes() == b"0123456789abcdef"
    assert pseudonym("a") == name
    assert os.listdir(file.parent) == ["salt"]


def test_a_salt_that_cannot_be_kept_is_refused_with_the_mend(settings):
    settings.write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be kept there .*TFADVSEG_SALT"):
        pseudonym("a")


def test_a_damaged_salt_is_refused(settings):
    pseudonym("a")
    (settings / "tfadvseg" / "salt").write_bytes(b"short")
    with pytest.raises(InputError, match="expected a salt of 16 bytes, received 5"):
        pseudonym("a")
