"""Pseudonyms for patients: the same from run to run on a machine, and not to be turned back."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from tfadvseg.errors import InputError

SALT_VARIABLE = "TFADVSEG_SALT"
SALT_BYTES = 16
DIGEST_BYTES = 5


def pseudonym(identifier: str, kind: str = "patient") -> str:
    """A name that stands for an identity and does not tell it.

    A keyed BLAKE2b hash: whoever lacks the salt cannot find the identity by trying all.

    Args:
        identifier: what must not be told, such as a PatientID.
        kind: the word before the hash; of 16 characters at most.

    Returns:
        For example `patient-3fa9c1d2e0`; the same for the same identifier, kind and salt.

    Raises:
        InputError: if the file of the salt cannot be read or written.
    """
    digest = hashlib.blake2b(
        identifier.encode("utf-8", "surrogateescape"),
        digest_size=DIGEST_BYTES,
        key=_salt(),
        person=kind.encode(),
    )
    return f"{kind}-{digest.hexdigest()}"


def salt_file() -> Path:
    """Where the salt of this user lies: `tfadvseg/salt` in the folder of settings."""
    settings = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if settings.startswith("~"):
        raise InputError(
            "no home folder to keep the salt of the pseudonyms in; set the environment variable "
            f"{SALT_VARIABLE} to a secret text of your own"
        )
    return Path(settings) / "tfadvseg" / "salt"


def _salt() -> bytes:
    text = os.environ.get(SALT_VARIABLE)
    if text is not None:
        if not text:
            raise InputError(f"{SALT_VARIABLE} is empty; expected any text, or leave it unset")
        return hashlib.blake2b(text.encode(), digest_size=SALT_BYTES).digest()
    path = salt_file()
    try:
        if not path.exists():
            _make(path)
        salt = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: the salt of the pseudonyms cannot be kept there ({error.strerror}); set the "
            f"environment variable {SALT_VARIABLE} to a secret text of your own"
        ) from error
    if len(salt) != SALT_BYTES:
        raise InputError(
            f"{path}: expected a salt of {SALT_BYTES} bytes, received {len(salt)}; restore it, or "
            "remove it and all patients get new pseudonyms"
        )
    return salt


def _make(path: Path) -> None:
    """Writes a new salt, unless another process was first: a link appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(prefix=".salt-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(SALT_BYTES))
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        os.unlink(temporary)
