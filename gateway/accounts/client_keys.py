"""The clients' API keys: stored as digests, compared in constant time, logged by their first characters alone."""

import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A client's key without the secret: `id` identifies it, `prefix` is for the log."""

    id: str
    prefix: str


class ClientKeys:
    """The valid keys. Only digests are stored, keyed with a random value of this process."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._pepper = os.urandom(32)
        self._keys = {self._digest(secret): client_key(secret) for secret in secrets}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, secret: str) -> ClientKey | None:
        """The key with this secret; None if it is not valid. The time that it takes does not depend on the valid keys."""
        digest = self._digest(secret)
        match = None
        # Through all keys, without a break: the time must not tell which key it is.
        for candidate, key in self._keys.items():
            if hmac.compare_digest(candidate, digest):
                match = key
        return match

    def _digest(self, secret: str) -> bytes:
        return hashlib.blake2b(secret.encode("utf-8", "surrogateescape"), key=self._pepper, digest_size=32).digest()


def client_key(secret: str) -> ClientKey:
    """The id is the same in every process, so that limits that are counted in Redis are the key's, not the process's."""
    identifier = hashlib.sha256(b"pointsman key id\0" + secret.encode()).hexdigest()[:16]
    return ClientKey(identifier, secret[: min(8, len(secret) // 3)] + "…")
