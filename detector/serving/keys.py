"""API keys, from a file or the environment."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from pathlib import Path

from detector.errors import ArgumentError

MIN_KEY = 16
"""Least number of characters of an API key, so that it cannot be guessed."""


class Keys:
    """API keys, stored as digests, so that a comparison takes the same time whatever key a request has.

    Args:
        keys: without any, requests need no key.

    Raises:
        ArgumentError: if a key is too short, or has characters that a header cannot have.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = []
        for number, key in enumerate(keys, 1):
            if len(key) < MIN_KEY or not re.fullmatch(r"[\x21-\x7e]+", key):
                raise ArgumentError(
                    f"API key {number} has {len(key)} characters: give at least {MIN_KEY}, ASCII and no space, as "
                    '`python -c "import secrets; print(secrets.token_urlsafe())"` prints.'
                )
            self._digests.append(_digest(key.encode()))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Test whether headers have a valid key, as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
        if not self._digests:
            return True
        key = b""
        for name, value in headers:
            if name == b"x-api-key":
                key = value.strip()
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                key = value[7:].strip()
        digest = _digest(key)
        # Compare with all keys, so that the time does not reveal which one matched.
        return sum([hmac.compare_digest(digest, key_digest) for key_digest in self._digests]) > 0


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def read_keys(file: Path | None, variable: str) -> list[str]:
    """Read API keys from a file and from an environment variable.

    Args:
        file: with one key in each line; lines that begin with # are comments. None for no file.
        variable: name of the environment variable; its keys are separated by commas or white space.

    Raises:
        ArgumentError: if the file cannot be read, or has no key, so that the service would be open to everybody.
    """
    keys = os.environ.get(variable, "").replace(",", " ").split()
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"The keys in {file} cannot be read: {error}.") from error
        file_keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not file_keys:
            raise ArgumentError(f"{file} holds no key: write one a line.")
        keys += file_keys
    return keys
