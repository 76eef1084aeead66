"""The provider instances of one operation, by the references resources name them with.

An instance the program declares is put here by `deployment`; one that only the state knows (to delete with, to read
with) is started from what the state says. Must not decide about resources.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from baseload.engine.embedded.ledger import Ledger
from baseload.engine.embedded.plugins import Plugins
from baseload.engine.embedded.provider import Provider, ProviderError, name_of
from baseload.planner.errors import BaseloadError, UsageError


class Providers:
    """Threads may share it."""

    def __init__(self, plugins: Plugins, ledger: Ledger) -> None:
        self._plugins = plugins
        self._ledger = ledger
        self._lock = threading.Lock()
        self._instances: dict[str, Future[Provider]] = {}
        self._all: list[Provider] = []

    def load(self, package: str) -> Provider:
        """A fresh instance without configuration. Raises `BaseloadError` `engine/plugin`, `engine/no-plugin`."""
        try:
            provider = Provider(self._plugins.start(package), self._plugins.address)
        except ProviderError as error:
            raise _unusable(package, error) from error
        with self._lock:
            self._all.append(provider)
        return provider

    def add(self, reference: str, provider: Provider) -> None:
        """A configured instance, in place of one that was started from the state."""
        ready: Future[Provider] = Future()
        ready.set_result(provider)
        with self._lock:
            self._instances[reference] = ready

    def get(self, reference: str) -> Provider:
        """The instance behind a reference. Raises `BaseloadError` where it cannot be started or is not known."""
        mine: Future[Provider] = Future()
        with self._lock:
            known = self._instances.setdefault(reference, mine)
        if known is mine:
            try:
                mine.set_result(self._from_state(reference))
            except BaseException as error:
                mine.set_exception(error)
        return known.result()

    def cancel(self) -> None:
        """Ask all to end what they do."""
        with self._lock:
            everybody = list(self._all)
        with ThreadPoolExecutor(max_workers=max(1, len(everybody))) as pool:
            for provider in everybody:
                pool.submit(provider.cancel)

    def _from_state(self, reference: str) -> Provider:
        state = self._ledger.provider(reference)
        if state is None:
            raise UsageError.of(
                "engine/state-damaged",
                f"the state names the provider {reference} but does not hold it",
                hint="restore the state from its `.bak`",
            )
        provider = self.load(state.type.rpartition(":")[2])
        try:
            provider.configure(state, state.id, state.inputs)
        except ProviderError as error:
            raise _unusable(name_of(state.urn), error) from error
        return provider


def _unusable(name: str, error: ProviderError) -> BaseloadError:
    return BaseloadError.of("engine/provider", f"the provider {name} cannot be used: {error}")
