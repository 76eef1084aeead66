"""A provider as the engine speaks to it: one configured instance, its calls, and what went wrong, in engine values.

Knows the protocol's habits (partial failures, providers without secrets or previews, unimplemented calls) so that
nobody above has to. Must not know states, decisions or the program.

Facts: Pulumi's source, `sdk/go/common/resource/plugin/provider_plugin.go`, `pkg/resource/deploy/providers/registry.go`
(2026-08).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from baseload.engine.embedded.plugins import Plugin
from baseload.engine.embedded.wire import Values, has_computed, plain, read, remark, write
from baseload.engine.files.state import ResourceState

HANDSHAKE_LIMIT_S = 10.0
"""Pulumi's own."""
CANCEL_LIMIT_S = 5.0
LOST = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
"""Answers that do not come from the provider: whether the call did something is not known."""


class ProviderError(Exception):
    """A call failed. `lost`: the connection broke, so nobody knows whether the call did its work."""

    def __init__(self, reasons: Sequence[str], *, lost: bool = False) -> None:
        self.reasons = tuple(reasons)
        self.lost = lost
        super().__init__("; ".join(self.reasons))


class InitFailed(ProviderError):
    """The resource exists (`id`, `outputs`) but did not become what it should be."""

    def __init__(self, detail: provider_pb2.ErrorResourceInitFailed) -> None:
        super().__init__(tuple(detail.reasons) or ("the resource did not become ready",))
        self.id: str = detail.id
        self.outputs = read(detail.properties)
        self.inputs = read(detail.inputs) if detail.HasField("inputs") else None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Check's answer: the inputs to use, and failures as (property, reason)."""

    inputs: dict[str, Any]
    failures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Difference:
    """One path of a detailed diff."""

    replaces: bool
    input: bool
    """Whether it compares old inputs, not old outputs, with the new inputs."""


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Diff's answer; `changes` None means the provider cannot tell."""

    changes: bool | None
    replaces: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    detailed: Mapping[str, Difference] = field(default_factory=dict)
    delete_before_replace: bool = False

    @property
    def replace(self) -> bool:
        """Whether the provider cannot do it in place."""
        return bool(self.replaces) or any(item.replaces for item in self.detailed.values())


@dataclass(frozen=True, kw_only=True)
class Live:
    """What a provider says a resource now is; an empty `id` from Read: it is gone."""

    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any] | None = None
    found: bool = True
    """Whether Read gave any properties."""
    problems: tuple[str, ...] = ()
    """Why it is not what it should be, where Read found that out."""


class About(Protocol):
    """The resource a call is about."""

    @property
    def urn(self) -> str: ...  # noqa: D102

    @property
    def type(self) -> str: ...  # noqa: D102


def name_of(urn: str) -> str:
    """The logical name, the last part of a URN."""
    return urn.rsplit("::", 1)[-1]


def _named(about: About) -> dict[str, Any]:
    return {"urn": about.urn, "name": name_of(about.urn), "type": about.type}


class Provider:
    """One provider instance. Threads may share it once it is configured."""

    def __init__(self, plugin: Plugin, engine_address: str) -> None:
        """Shake hands. Raises `ProviderError`."""
        self.plugin = plugin
        self._stub = provider_pb2_grpc.ResourceProviderStub(plugin.channel)
        self._secrets = self._references = self._previews = False
        self.known = True
        """False in a preview whose program does not know this provider's configuration yet: no call is made then."""
        self._shake_hands(engine_address)
        self._shaken = self._previews
        if plugin.attached:
            self._call("Attach", plugin_pb2.PluginAttach(address=engine_address))

    def _shake_hands(self, address: str) -> None:
        request = provider_pb2.ProviderHandshakeRequest(engine_address=address, configure_with_urn=True)
        answer = self._tolerant("Handshake", request, timeout=HANDSHAKE_LIMIT_S, wait_for_ready=True)
        if answer:
            self._secrets, self._references, self._previews = answer.accept_secrets, answer.accept_resources, True

    def check_config(self, about: About, news: Values, olds: Values) -> Checked:
        """The configuration as the provider completes it."""
        request = provider_pb2.CheckRequest(
            **_named(about), olds=write(olds, secrets=False, references=False), news=write(news, secrets=False)
        )
        answer = self._tolerant("CheckConfig", request)
        if answer is None:
            return Checked(inputs=dict(news))
        inputs = read(answer.inputs)
        remark(inputs, news)
        return Checked(inputs=inputs, failures=_failures(answer))

    def diff_config(self, old: ResourceState, news: Values) -> Diff:
        """What a change of configuration means."""
        request = provider_pb2.DiffRequest(
            **_named(old),
            old_inputs=write(old.inputs, secrets=False),
            olds=write(old.outputs, secrets=False),
            news=write(news, secrets=False),
        )
        answer = self._tolerant("DiffConfig", request)
        diff = _diff(answer) if answer else Diff(changes=None)
        if diff.changes is not None:
            return diff
        return Diff(changes=plain(old.outputs) != plain(news), replaces=diff.replaces)

    def configure(self, about: About, instance_id: str, inputs: Values) -> None:
        """Give the instance its configuration. Once."""
        if has_computed(inputs):
            self.known = False
            return
        package = about.type.rpartition(":")[2]
        request = provider_pb2.ConfigureRequest(
            **_named(about),
            id=instance_id,
            args=write(inputs),
            variables={f"{package}:config:{key}": _text(value) for key, value in inputs.items() if key != "version"},
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
        )
        answer = self._call("Configure", request)
        if not self._shaken:
            self._secrets, self._references = answer.acceptSecrets, answer.acceptResources
            self._previews = answer.supportsPreview

    def check(self, about: About, news: Values, olds: Values) -> Checked:
        """The inputs as the provider completes them."""
        if not self.known:
            return Checked(inputs=dict(news))
        request = provider_pb2.CheckRequest(
            **_named(about), olds=self._write(olds), news=self._write(news), randomSeed=os.urandom(32)
        )
        answer = self._call("Check", request)
        inputs = read(answer.inputs)
        self._remark(inputs, news)
        return Checked(inputs=inputs, failures=_failures(answer))

    def diff(self, old: ResourceState, news: Values, ignore: Sequence[str]) -> Diff:
        """What separates the resource from `news`."""
        request = provider_pb2.DiffRequest(
            **_named(old),
            id=old.id,
            old_inputs=self._write(old.inputs),
            olds=self._write(old.outputs),
            news=self._write(news),
            ignoreChanges=ignore,
        )
        return _diff(self._call("Diff", request))

    def create(self, about: About, inputs: Values, timeout_s: float, *, preview: bool) -> Live:
        """Raises `InitFailed` for what exists but is not ready, else `ProviderError`."""
        if preview and not (self.known and self._previews):
            return Live(id="", outputs=dict(inputs) if self.known else {})
        request = provider_pb2.CreateRequest(
            **_named(about), properties=self._write(inputs), timeout=timeout_s, preview=preview
        )
        try:
            answer = self._call("Create", request)
        except InitFailed as error:
            self._remark(error.outputs, inputs)
            raise
        outputs = read(answer.properties)
        self._remark(outputs, inputs)
        if not preview:
            _refuse_computed(outputs, about)
            if not answer.id:
                raise ProviderError((f"the provider gave {name_of(about.urn)} no id",))
        return Live(id=answer.id, outputs=outputs)

    def update(
        self, old: ResourceState, inputs: Values, ignore: Sequence[str], timeout_s: float, *, preview: bool
    ) -> Live:
        """Raises `InitFailed` for what was changed but is not ready, else `ProviderError`."""
        if preview and not (self.known and self._previews):
            return Live(id=old.id, outputs=dict(inputs) if self.known else {})
        request = provider_pb2.UpdateRequest(
            **_named(old),
            id=old.id,
            olds=self._write(old.outputs),
            old_inputs=self._write(old.inputs),
            news=self._write(inputs),
            timeout=timeout_s,
            ignoreChanges=ignore,
            preview=preview,
        )
        try:
            outputs = read(self._call("Update", request).properties)
        except InitFailed as error:
            self._remark(error.outputs, inputs)
            raise
        self._remark(outputs, inputs)
        if not preview:
            _refuse_computed(outputs, old)
        return Live(id=old.id, outputs=outputs)

    def read(self, about: About, resource_id: str, inputs: Values | None = None, outputs: Values | None = None) -> Live:
        """What the resource really is; without `inputs` and `outputs` for one that is only known by its id."""
        request = provider_pb2.ReadRequest(
            **_named(about),
            id=resource_id,
            properties=None if outputs is None else self._write(outputs),
            inputs=None if inputs is None else self._write(inputs),
        )
        try:
            answer = self._call("Read", request)
        except InitFailed as error:
            live = Live(id=error.id, outputs=error.outputs, inputs=error.inputs, problems=error.reasons)
        else:
            live = Live(
                id=answer.id,
                outputs=read(answer.properties),
                inputs=read(answer.inputs) if answer.HasField("inputs") else None,
                found=answer.HasField("properties"),
            )
        if live.inputs is not None:
            self._remark(live.inputs, inputs or {})
        self._remark(live.outputs, outputs or {})
        return live

    def delete(self, old: ResourceState) -> None:
        """Make it go away; one that is gone already is no failure, by the protocol."""
        request = provider_pb2.DeleteRequest(
            **_named(old),
            id=old.id,
            properties=self._write(old.outputs),
            old_inputs=self._write(old.inputs),
            timeout=old.custom_timeouts.get("delete", 0),
        )
        self._call("Delete", request)

    def cancel(self) -> None:
        """Ask it to end what it does, soon. A provider that does not know how goes on as before."""
        self._tolerant("Cancel", empty_pb2.Empty(), timeout=CANCEL_LIMIT_S)

    def _write(self, values: Values) -> struct_pb2.Struct:
        return write(values, secrets=self._secrets, references=self._references)

    def _remark(self, outputs: dict[str, Any], inputs: Values) -> None:
        if not self._secrets:
            remark(outputs, inputs)

    def _call(self, method: str, request: Any, **options: Any) -> Any:
        try:
            return getattr(self._stub, method)(request, **options)
        except grpc.RpcError as error:
            raise _error(method, error) from error
        except ValueError as error:  # what grpcio raises on a channel that was closed to abandon all calls
            raise ProviderError((f"{method}: the connection to the provider was closed",), lost=True) from error

    def _tolerant(self, method: str, request: Any, **options: Any) -> Any:
        """None where the provider does not implement the method, which the protocol allows for these."""
        try:
            return self._call(method, request, **options)
        except ProviderError as error:
            cause = error.__cause__
            if isinstance(cause, grpc.RpcError) and cause.code() == grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise


def _error(method: str, error: grpc.RpcError) -> ProviderError:
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                failed = provider_pb2.ErrorResourceInitFailed()
                if detail.Unpack(failed):
                    return InitFailed(failed)
    code = error.code()
    text = error.details() or code.name
    if code in LOST:
        text = f"the provider stopped answering during {method} ({text})"
    return ProviderError((text,), lost=code in LOST)


def _failures(answer: provider_pb2.CheckResponse) -> tuple[tuple[str, str], ...]:
    return tuple((failure.property, failure.reason) for failure in answer.failures)


def _diff(answer: provider_pb2.DiffResponse) -> Diff:
    kinds = provider_pb2.PropertyDiff.Kind
    replacing = (kinds.ADD_REPLACE, kinds.DELETE_REPLACE, kinds.UPDATE_REPLACE)
    changes = {answer.DIFF_NONE: False, answer.DIFF_SOME: True}.get(answer.changes)
    detailed = {}
    if answer.hasDetailedDiff:
        detailed = {
            path: Difference(replaces=item.kind in replacing, input=item.inputDiff)
            for path, item in answer.detailedDiff.items()
        }
    return Diff(
        changes=changes,
        replaces=tuple(answer.replaces),
        keys=tuple(answer.diffs),
        detailed=detailed,
        delete_before_replace=answer.deleteBeforeReplace,
    )


def _refuse_computed(outputs: Values, about: About) -> None:
    unknown = [key for key, value in outputs.items() if has_computed(value)]
    if unknown:
        raise ProviderError((f"the provider gave {name_of(about.urn)} no value for {', '.join(unknown)}",))


def _text(value: Any) -> str:
    """The old form of configuration: text as it is, all else as JSON."""
    bare = plain(value)
    return bare if isinstance(bare, str) else json.dumps(bare)
