"""The signatures of tokens and digests: Django's, with the key of each purpose derived once."""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from functools import cached_property, lru_cache
from typing import Final

from django.conf import settings
from django.core.signing import Signer
from django.utils.encoding import force_bytes


def signer(purpose: str) -> MailSigner:
    """Return what signs and reads the tokens of one purpose, with the keys the settings have now."""
    return _made_signer(purpose, settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=64)
def _made_signer(purpose: str, key: str | bytes, fallback_keys: tuple[str | bytes, ...]) -> MailSigner:
    return MailSigner(key=key, salt=f"email_automation.{purpose}", fallback_keys=list(fallback_keys))


class MailSigner(Signer):
    """Django's signer, which derives the key of each purpose once and signs in one step.

    Three links are signed for every mail; by Django's own steps that takes longer than to write it.
    """

    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        derived = _derived(str(self.salt) + "signer", self.key if key is None else key, self.algorithm)
        return _encoded(derived.digest(force_bytes(value)))

    def sign_json(self, text: str) -> str:
        """Return the token of a value that is JSON already, compact and in ASCII, as `sign_object` makes it."""
        value = _encoded(text.encode("ascii"))
        return f"{value}{self.sep}{_encoded(self._own_key.digest(value.encode()))}"

    @cached_property
    def _own_key(self) -> _Key:
        return _derived(str(self.salt) + "signer", self.key, self.algorithm)


#: From base64's signs to those of its form for addresses.
_FOR_ADDRESSES: Final = bytes.maketrans(b"+/", b"-_")


def _encoded(value: bytes) -> str:
    return b2a_base64(value, newline=False).translate(_FOR_ADDRESSES, b"=").decode()


def keyed_digest(salt: str, text: str, key: str | bytes) -> str:
    """Return the digest of a text for one purpose, in hexadecimal; nobody without the key can tell whose it is."""
    return _derived(salt, key, "sha256").digest(text.encode()).hex()


class _Key:
    """A key for HMAC (RFC 2104) that has been taken in once, which is most of the work of signing a short text.

    `hmac` begins anew with the key for each text, or copies what takes as long: three signatures are made for a mail.
    """

    def __init__(self, key: bytes, algorithm: str) -> None:
        # A digest of the same algorithm, and so no longer than its block.
        padded = key.ljust(hashlib.new(algorithm).block_size, b"\0")
        self._inner = hashlib.new(algorithm, bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.new(algorithm, bytes(byte ^ 0x5C for byte in padded))

    def digest(self, text: bytes) -> bytes:
        """Return the signature of a text."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.digest()


@lru_cache(maxsize=64)
def _derived(salt: str, key: str | bytes, algorithm: str) -> _Key:
    # As `salted_hmac` does, which begins with the key each time.
    return _Key(hashlib.new(algorithm, force_bytes(salt) + force_bytes(key)).digest(), algorithm)
