"""A stack that is open for one operation: its state, its key, its configuration, and what keeps its state current.

Must not know programs or providers, nor import what needs Pulumi's SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from baseload.engine.files.backend import FileBackend, Loaded, Writer
from baseload.engine.files.project import Config, Project, unsupported
from baseload.engine.files.secrets import Crypter, Passphrase
from baseload.engine.files.state import Snapshot

KNOWN_PULUMI_CONFIG = frozenset({"pulumi:tags", "pulumi:template"})
"""Keys of Pulumi's own that change nothing about an operation."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A stack that is open for one operation."""

    project: Project
    backend: FileBackend
    loaded: Loaded | None
    config: Config
    writer: Writer | None
    """None in a preview."""

    @property
    def snapshot(self) -> Snapshot:
        """The state before the operation."""
        return self.loaded.snapshot if self.loaded else Snapshot()

    def remove(self) -> None:
        """Forget the stack."""
        self.backend.remove(self.project.name, self.project.stack)


def open_for_writing(project: Project, backend: FileBackend, passphrase: Passphrase) -> Session:
    """With the key, which is made where there is none: its salt goes into `Pulumi.<stack>.yaml` and the state."""
    loaded = backend.load(project.name, project.stack, passphrase.open)
    salt = project.salt or (loaded.salt if loaded else None)
    crypter = passphrase.open(salt) if salt else passphrase.create()
    if not project.salt:
        project = project.save_salt(crypter.salt)
    writer = backend.writer(project.name, project.stack, loaded, crypter)
    config = _checked(project.config(crypter.decrypt))
    return Session(project=project, backend=backend, loaded=loaded, config=config, writer=writer)


def rehearse(project: Project, backend: FileBackend, passphrase: Passphrase) -> Session:
    """Without writing anything; the passphrase is wanted only where there are secrets."""
    loaded = backend.load(project.name, project.stack, lambda salt: _LateCrypter(salt, passphrase.open))
    decrypt = _LateCrypter(project.salt, passphrase.open).decrypt if project.salt else None
    config = _checked(project.config(decrypt))
    return Session(project=project, backend=backend, loaded=loaded, config=config, writer=None)


class _LateCrypter(Crypter):
    """Asks for the passphrase at the first secret."""

    def __init__(self, salt: str, open_salt: Callable[[str], Crypter]) -> None:
        self.salt = salt
        self._open_salt = open_salt

    def encrypt(self, plaintext: str) -> str:
        return self._open_salt(self.salt).encrypt(plaintext)

    def decrypt(self, ciphertext: str) -> str:
        return self._open_salt(self.salt).decrypt(ciphertext)


def _checked(config: Config) -> Config:
    """Configuration of Pulumi itself changes what an operation does (names, default providers)."""
    for key in config.values:
        if key.startswith("pulumi:") and key not in KNOWN_PULUMI_CONFIG:
            raise unsupported(f"the configuration key {key}")
    return config
