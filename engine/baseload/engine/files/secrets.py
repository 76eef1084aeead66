"""Pulumi's passphrase secrets: the passphrase, the key made from it, and values sealed with that key.

Must not know files of the state or the project; never puts a passphrase or a plaintext into an error or a repr.

Facts: Pulumi's source, `pkg/secrets/passphrase/manager.go` and `sdk/go/common/resource/config/crypt.go` (2026-08),
checked against CLI 3.260: key = PBKDF2-HMAC-SHA256(passphrase, 8 bytes of salt, 1,000,000 rounds, 32 bytes);
ciphertext `v1:<base64 nonce>:<base64 AES-256-GCM>`; the salt's text is `v1:<base64 salt>:<"pulumi", encrypted>`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from baseload.planner.errors import BaseloadError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE = "PULUMI_CONFIG_PASSPHRASE"
FILE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE_FILE"
ROUNDS = 1_000_000
BAD_CIPHERTEXT = "engine/ciphertext"
ASK = "Passphrase of this stack's secrets: "

RandomBytes = Callable[[int], bytes]


class Crypter:
    """Seals and opens texts with one stack's key. Threads may share it."""

    def __init__(self, salt: str, key: AESGCM, random: RandomBytes = os.urandom) -> None:
        self.salt = salt
        """As it stands in `encryptionsalt` and in the state."""
        self._key = key
        self._random = random

    @classmethod
    def open(cls, salt: str, passphrase: str) -> Crypter:
        """The key for an existing salt; takes about 0.1 s of one core and lets other threads run.

        Raises `UsageError`: `engine/passphrase-wrong`, or `engine/salt` where the salt is malformed.
        """
        version, _, rest = salt.partition(":")
        encoded, _, proof = rest.partition(":")
        if version != "v1" or not encoded or not proof:
            raise _bad_salt()
        crypter = cls(salt, _derive(passphrase, _decode(encoded)))
        try:
            matches = crypter.decrypt(proof) == "pulumi"
        except BaseloadError:
            matches = False
        if not matches:
            raise UsageError.of(
                "engine/passphrase-wrong",
                "the passphrase does not open this stack's secrets",
                hint=f"set {VARIABLE} or {FILE_VARIABLE} to the passphrase the stack was made with",
            )
        return crypter

    @classmethod
    def create(cls, passphrase: str, random: RandomBytes = os.urandom) -> Crypter:
        """A new salt and its key."""
        salt = random(8)
        crypter = cls("", _derive(passphrase, salt), random)
        crypter.salt = f"v1:{base64.b64encode(salt).decode()}:{crypter.encrypt('pulumi')}"
        return crypter

    def encrypt(self, plaintext: str) -> str:
        """A ciphertext with a fresh nonce: the same text twice gives two ciphertexts."""
        nonce = self._random(12)
        sealed = self._key.encrypt(nonce, plaintext.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, ciphertext: str) -> str:
        """Raises `UsageError` `engine/ciphertext` for a text that is damaged or was sealed with another key."""
        from cryptography.exceptions import InvalidTag

        try:
            version, nonce, sealed = ciphertext.split(":")
            if version != "v1":
                raise ValueError(version)
            return self._key.decrypt(
                base64.b64decode(nonce, validate=True), base64.b64decode(sealed, validate=True), None
            ).decode()
        except (ValueError, InvalidTag):
            raise UsageError.of(
                BAD_CIPHERTEXT,
                "a secret value is damaged or was encrypted with another key",
                hint="restore the file it stands in, or set that secret again",
            ) from None

    def __repr__(self) -> str:
        return "Crypter(…)"


def _derive(passphrase: str, salt: bytes) -> AESGCM:
    """Not by `hashlib`: cryptography's own OpenSSL takes 0.12 s where Python's took 0.21 s (2 cores, 2026-11)."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    return AESGCM(PBKDF2HMAC(SHA256(), 32, salt, ROUNDS).derive(passphrase.encode()))


def _decode(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise _bad_salt() from None


def _bad_salt() -> BaseloadError:
    return UsageError.of(
        "engine/salt",
        "the stack's encryption salt is malformed",
        hint="restore `encryptionsalt` in Pulumi.<stack>.yaml; the state's `secrets_providers` holds it too",
    )


class Passphrase:
    """Where the passphrase comes from; looked up at most once, keys made at most once per salt.

    `PULUMI_CONFIG_PASSPHRASE` (empty counts) wins over `PULUMI_CONFIG_PASSPHRASE_FILE` (counted from `root`, blanks
    at its ends cut off), then `ask` with the prompt, for a terminal. Without any: `UsageError` `engine/passphrase`.
    """

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str] | None = None,
        ask: Callable[[str], str] | None = None,
    ) -> None:
        self._root = root
        self._environment = os.environ if environment is None else environment
        self._ask = ask
        self._phrase: str | None = None
        self._crypters: dict[str, Crypter] = {}

    def open(self, salt: str) -> Crypter:
        """The key for `salt`. Raises as `Crypter.open`."""
        if salt not in self._crypters:
            self._crypters[salt] = Crypter.open(salt, self._get(ASK))
        return self._crypters[salt]

    def create(self) -> Crypter:
        """A new salt and key. Asked on a terminal, the passphrase is asked for twice."""
        crypter = Crypter.create(self._get_new())
        self._crypters[crypter.salt] = crypter
        return crypter

    def variables(self, *, new: bool = False) -> dict[str, str]:
        """What a Pulumi process must be given over our environment: nothing, or the passphrase that was asked for.

        Of a `new` stack it is asked for twice. Raises `UsageError` `engine/passphrase` where there is none.
        """
        if self._from_environment():
            return {}
        return {VARIABLE: self._get_new() if new else self._get(ASK)}

    def _get_new(self) -> str:
        asked = self._phrase is None
        phrase = self._get("New passphrase for this stack's secrets: ")
        asks = self._ask if not self._from_environment() else None
        if asked and asks and asks("The same again: ") != phrase:
            self._phrase = None
            raise UsageError.of("engine/passphrase-wrong", "the two passphrases differ", hint="run the command again")
        return phrase

    def _from_environment(self) -> bool:
        return VARIABLE in self._environment or bool(self._environment.get(FILE_VARIABLE))

    def _get(self, prompt: str) -> str:
        if self._phrase is None:
            self._phrase = self._find(prompt)
        return self._phrase

    def _find(self, prompt: str) -> str:
        if VARIABLE in self._environment:
            return self._environment[VARIABLE]
        name = self._environment.get(FILE_VARIABLE)
        if name:
            return self._read(self._root / Path(name).expanduser())
        if self._ask:
            return self._ask(prompt)
        raise UsageError.of(
            "engine/passphrase",
            "this stack's secrets need a passphrase, and there is none",
            hint=f"set {VARIABLE}, or {FILE_VARIABLE} to a file that holds it",
        )

    def _read(self, file: Path) -> str:
        try:
            return file.read_bytes().decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise UsageError.of(
                "engine/passphrase", f"cannot read {file}, named by {FILE_VARIABLE}: {reason}"
            ) from None

    def __repr__(self) -> str:
        return "Passphrase(…)"
