"""The signatures of tokens and digests: Django's, with the key of each purpose derived once."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from functools import cached_property, lru_cache
from typing import Any

from django.conf import settings
from django.core.signing import Signer
from django.utils.encoding import force_bytes

#: As Django's serializer writes it, with an encoder that is made once.
_as_json = json.JSONEncoder(separators=(",", ":")).encode


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

    def sign_object(self, obj: Any, *args: Any, **kwargs: Any) -> str:
        value = _encoded(_as_json(obj).encode("latin-1"))
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
