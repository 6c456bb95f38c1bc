"""The signatures of tokens and digests: Django's, with the key of each purpose derived once."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signing import Signer, b64_encode
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
    """Django's signer, which derives the key of each purpose once: three links are signed for every mail."""

    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        derived = _derived(str(self.salt) + "signer", self.key if key is None else key, self.algorithm)
        return b64_encode(hmac.digest(derived, force_bytes(value), self.algorithm)).decode()

    def sign_object(self, obj: Any, *args: Any, **kwargs: Any) -> str:
        return self.sign(b64_encode(_as_json(obj).encode("latin-1")).decode())


def keyed_digest(salt: str, text: str, key: str | bytes) -> str:
    """Return the digest of a text for one purpose, in hexadecimal; nobody without the key can tell whose it is."""
    return hmac.digest(_derived(salt, key, "sha256"), text.encode(), "sha256").hex()


@lru_cache(maxsize=64)
def _derived(salt: str, key: str | bytes, algorithm: str) -> bytes:
    # As `salted_hmac` does, whose result would have to be copied for every signature.
    return hashlib.new(algorithm, force_bytes(salt) + force_bytes(key)).digest()
