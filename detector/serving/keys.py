"""Who may ask: API keys from a file or the environment."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from pathlib import Path

from detector.errors import ArgumentError

MIN_KEY = 16
"""Characters of the shortest API key: what is guessed in a day is no key."""


class Keys:
    """API keys, kept as digests: each comparison takes the same time, whatever was sent.

    Args:
        keys: none means that no key is needed.

    Raises:
        ArgumentError: if one is too short, or holds what cannot stand in a header.
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
        """Test whether a request's headers bring a key: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
        if not self._digests:
            return True
        sent = b""
        for name, value in headers:
            if name == b"x-api-key":
                sent = value.strip()
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                sent = value[7:].strip()
        digest = _digest(sent)
        # All are compared, so that the time does not say which one it was.
        return sum([hmac.compare_digest(digest, key_digest) for key_digest in self._digests]) > 0


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def read_keys(file: Path | None, variable: str) -> list[str]:
    """Read keys of a file, one a line, and of an environment variable, separated by commas or white space.

    Lines that begin with # are comments.

    Raises:
        ArgumentError: if the file cannot be read, or holds no key: it would let everybody in.
    """
    keys = os.environ.get(variable, "").replace(",", " ").split()
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"The keys in {file} cannot be read: {error}.") from error
        of_file = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not of_file:
            raise ArgumentError(f"{file} holds no key: write one a line.")
        keys += of_file
    return keys
