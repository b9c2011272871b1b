"""The clients' API keys: kept as digests, compared in constant time, shown by their beginning alone."""

import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A client's key without the secret: `id` tells keys apart, `prefix` is for the log."""

    id: str
    prefix: str


class ClientKeys:
    """The valid keys. Only digests under a pepper of this process are kept."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._pepper = os.urandom(32)
        self._keys = {self._digest(secret): _shown(secret) for secret in secrets}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, secret: str) -> ClientKey | None:
        """The key that a secret is. How long it takes depends on no valid key: what is looked up is a digest."""
        digest = self._digest(secret)
        found = None
        for known, key in self._keys.items():
            if hmac.compare_digest(known, digest):
                found = key
        return found

    def _digest(self, secret: str) -> bytes:
        return hashlib.blake2b(secret.encode("utf-8", "surrogateescape"), key=self._pepper, digest_size=32).digest()


def _shown(secret: str) -> ClientKey:
    """The id is the same in every process, so that a limit kept outside of it counts them together."""
    ident = hashlib.sha256(b"pointsman key id\0" + secret.encode()).hexdigest()[:16]
    return ClientKey(ident, secret[: min(8, len(secret) // 3)] + "…")
