"""The engine as the program's SDK sees it: the resource monitor and the log, in process, without a socket.

Every field of a request is handled or refused by name; a field that a newer SDK brings is refused too. Must not
decide about resources.

Facts: Pulumi's `proto/pulumi/resource.proto`, `pkg/resource/deploy/source_eval.go` (2026-08), SDK 3.272.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from google.protobuf import empty_pb2
from google.protobuf.message import Message
from pulumi.runtime.proto import alias_pb2, engine_pb2, resource_pb2

from baseload.engine.embedded.deployment import Deployment
from baseload.engine.embedded.goal import Goal
from baseload.engine.embedded.plugins import SEVERITIES
from baseload.engine.embedded.report import Report, Stopped
from baseload.engine.embedded.wire import parse_path, read, write
from baseload.engine.files.project import unsupported
from baseload.planner.errors import UsageError

HANDLED = frozenset(
    (
        "type",
        "name",
        "parent",
        "custom",
        "object",
        "protect",
        "dependencies",
        "provider",
        "propertyDependencies",
        "deleteBeforeReplace",
        "deleteBeforeReplaceDefined",
        "ignoreChanges",
        "acceptSecrets",
        "additionalSecretOutputs",
        "aliasURNs",
        "importId",
        "customTimeouts",
        "supportsPartialValues",
        "acceptResources",
        "providers",
        "replaceOnChanges",
        "retainOnDelete",
        "aliases",
        "aliasSpecs",
        "sourcePosition",
        "stackTrace",
        "parentStackTraceHandle",
        "supportsResultReporting",
        "hideDiffs",
        "accepts_byte_string",
    )
)
"""Fields of `RegisterResourceRequest` that are honoured, or that say what the SDK understands."""

REFUSED = {
    "version": "the option `version`",
    "remote": "remote components",
    "pluginDownloadURL": "the option `plugin_download_url`",
    "pluginChecksums": "plugin checksums",
    "deletedWith": "the option `deleted_with`",
    "replace_with": "the option `replace_with`",
    "replacement_trigger": "the option `replacement_trigger`",
    "transforms": "transforms",
    "packageRef": "parameterized packages",
    "hooks": "resource hooks",
    "envVarMappings": "the option `env_var_mappings`",
    "snippetId": "snippets",
    "state_migrations": "state migrations",
}

_UNADVERTISED = frozenset({"OUTPUT_VALUES", "BYTE_STRING", "INVOKE_OUTPUT_VALUES", "CALL_OUTPUT_VALUES"})
"""What the SDK would send in another form; all else is advertised so that it arrives here and is refused by name."""

DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Monitor:
    """Duck-typed stand-in for the SDK's `ResourceMonitorStub`; its methods have the protocol's names."""

    def __init__(self, deployment: Deployment, report: Report) -> None:
        self._deployment = deployment
        self._report = report

    def RegisterResource(self, request: Any) -> Any:
        """Bring a resource about."""
        return self._guarded(self._register, request)

    def RegisterResourceOutputs(self, request: Any) -> Any:
        """Take a component's outputs."""

        def outputs(_: Any) -> Any:
            self._deployment.register_outputs(request.urn, read(request.outputs))
            return empty_pb2.Empty()

        return self._guarded(outputs, request)

    def GetDeploymentInfo(self, request: Any) -> Any:
        """What this monitor understands, or refuses in its own words."""
        del request
        prefix = "RESOURCE_MONITOR_FEATURE_"
        features = resource_pb2.ResourceMonitorFeature.items()
        wanted = [number for name, number in features if name.removeprefix(prefix) not in _UNADVERTISED]
        return resource_pb2.DeploymentInfo(supportedFeatures=wanted)

    def SignalAndWaitForShutdown(self, request: Any) -> Any:
        """Nothing here outlives the program's last registration."""
        del request
        return empty_pb2.Empty()

    def ReadResource(self, request: Any) -> NoReturn:
        """Refused."""
        what = "stack references" if request.type == "pulumi:pulumi:StackReference" else f"`{request.type}.get`"
        self._refuse(what)

    def Invoke(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse(f"invokes ({request.tok})")

    def Call(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse(f"calls of resource methods ({request.tok})")

    def RegisterPackage(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse(f"parameterized packages ({request.name})")

    def ExistsResource(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse(f"asking whether a {request.type} exists")

    def RegisterStackTransform(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse("transforms", request)

    def RegisterStackInvokeTransform(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse("invoke transforms", request)

    def RegisterResourceHook(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse("resource hooks", request)

    def RegisterErrorHook(self, request: Any) -> NoReturn:
        """Refused."""
        self._refuse("error hooks", request)

    def SupportsFeature(self, request: Any) -> NoReturn:
        """The older way to ask, which no SDK uses that knows `GetDeploymentInfo`."""
        self._refuse("SDKs older than `GetDeploymentInfo`", request)

    def _refuse(self, what: str, _: Any = None) -> NoReturn:
        raise self._report.abort(unsupported(what))

    def _guarded(self, call: Callable[[Any], Any], request: Any) -> Any:
        """What goes wrong here is the operation's failure; to the program it only says that all ends."""
        try:
            return call(request)
        except Stopped:
            raise
        except Exception as error:
            raise self._report.abort(error) from error

    def _register(self, request: Any) -> Any:
        goal = goal_of(request, self._deployment.urn)
        self._report.hide(goal.inputs)
        registered = self._deployment.register(goal)
        outputs = registered.outputs if goal.custom else {}
        return resource_pb2.RegisterResourceResponse(urn=goal.urn, id=registered.id, object=write(outputs))


def goal_of(request: Any, make_urn: Callable[[str, str, str], str]) -> Goal:
    """The request in the engine's words. Raises `UsageError` `engine/unsupported`, `engine/program`."""
    for field, value in request.ListFields():
        if field.name in HANDLED or (isinstance(value, Message) and field.name == "hooks" and not value.ListFields()):
            continue
        raise unsupported(f"{REFUSED.get(field.name, f'the option `{field.name}`')} (of {request.name})")
    inputs = read(request.object)
    dependencies = tuple(sorted(set(request.dependencies)))
    by_property = {key: tuple(sorted(set(item.urns))) for key, item in request.propertyDependencies.items()}
    if not by_property:
        by_property = dict.fromkeys(inputs, dependencies)
    before = request.deleteBeforeReplaceDefined or request.deleteBeforeReplace
    for path in (*request.ignoreChanges, *request.replaceOnChanges, *request.hideDiffs):
        _check_path(path, request.name)
    return Goal(
        urn=make_urn(request.parent, request.type, request.name),
        type=request.type,
        custom=request.custom,
        inputs=inputs,
        parent=request.parent,
        provider=request.provider,
        providers=dict(request.providers),
        dependencies=dependencies,
        property_dependencies={**dict.fromkeys(inputs, ()), **by_property},
        protect=request.protect if request.HasField("protect") else None,
        retain_on_delete=request.retainOnDelete if request.HasField("retainOnDelete") else None,
        delete_before_replace=request.deleteBeforeReplace if before else None,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        hide_diffs=tuple(request.hideDiffs),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        import_id=request.importId,
        custom_timeouts=_timeouts(request),
        alias_urns=tuple(_alias_urns(request, make_urn)),
    )


def _check_path(path: str, name: str) -> None:
    try:
        parse_path(path)
    except ValueError as error:
        raise UsageError.of("engine/program", f"{error} (in an option of {name})") from error


def _timeouts(request: Any) -> Mapping[str, float]:
    texts = {field.name: text for field, text in request.customTimeouts.ListFields()}
    return {name: _seconds(text, request.name) for name, text in texts.items()}


def _seconds(text: str, name: str) -> float:
    """A duration as Go writes it: `45m`, `1h30m`, `2.5s`."""
    parts = DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) != text or not parts:
        raise UsageError.of(
            "engine/program", f"{text!r} is not a duration (custom_timeouts of {name})", hint="write 30s, 45m, 1h30m"
        )
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def _alias_urns(request: Any, make_urn: Callable[[str, str, str], str]) -> Iterable[str]:
    """The names by which the state may know the resource from before."""
    yield from request.aliasURNs
    for alias in request.aliases:
        yield alias.urn if alias.WhichOneof("alias") == "urn" else _alias_urn(alias.spec, request, make_urn)


def _alias_urn(spec: alias_pb2.Alias.Spec, request: Any, make_urn: Callable[[str, str, str], str]) -> str:
    parent = "" if spec.noParent else spec.parentUrn or request.parent
    urn = make_urn(parent, spec.type or request.type, spec.name or request.name)
    scheme, _, rest = urn.partition("pulumi:")
    stack, project, *more = rest.split("::")
    return f"{scheme}pulumi:" + "::".join((spec.stack or stack, spec.project or project, *more))


class ProgramLog:
    """Duck-typed stand-in for the SDK's `EngineStub`."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def Log(self, request: Any) -> Any:
        """A line of the program, or of the SDK about itself."""
        if request.severity != engine_pb2.DEBUG:
            severity = SEVERITIES.get(request.severity, "info")
            self._report.log(severity, request.message, request.urn, request.ephemeral)
        return empty_pb2.Empty()

    def RequirePulumiVersion(self, request: Any) -> NoReturn:
        """Refused: this is no Pulumi of any version."""
        del request
        raise self._report.abort(unsupported("`require_pulumi_version`"))
