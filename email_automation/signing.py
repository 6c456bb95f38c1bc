"""The signatures of tokens and digests: Django's, with the key of each purpose derived once."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from functools import cached_property, lru_cache

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
        return _encoded(hmac.digest(derived, force_bytes(value), self.algorithm)).decode()

    def sign_json(self, text: str) -> str:
        """Return the token of a value that is JSON already, compact and in ASCII, as `sign_object` makes it."""
        value = _encoded(text.encode("ascii"))
        return f"{value.decode()}{self.sep}{_encoded(hmac.digest(self._own_key, value, self.algorithm)).decode()}"

    @cached_property
    def _own_key(self) -> bytes:
        return _derived(str(self.salt) + "signer", self.key, self.algorithm)


def _encoded(value: bytes) -> bytes:
    return urlsafe_b64encode(value).rstrip(b"=")


def keyed_digest(salt: str, text: str, key: str | bytes) -> str:
    """Return the digest of a text for one purpose, in hexadecimal; nobody without the key can tell whose it is."""
    return hmac.digest(_derived(salt, key, "sha256"), text.encode(), "sha256").hex()


@lru_cache(maxsize=64)
def _derived(salt: str, key: str | bytes, algorithm: str) -> bytes:
    # As `salted_hmac` does, whose result would have to be copied for every signature.
    return hashlib.new(algorithm, force_bytes(salt) + force_bytes(key)).digest()
