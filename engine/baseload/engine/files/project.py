"""What an engine is told by a project's own files: `Pulumi.yaml`, `Pulumi.<stack>.yaml` and Pulumi's variables.

Reads what the Pulumi CLI reads, by its rules, and refuses by name what the embedded engine cannot honour. The one
thing it ever writes is `encryptionsalt`. Must not know a program, a provider's protocol or the state.

Facts: Pulumi's source, `sdk/go/common/workspace/project.go`, `sdk/go/common/resource/config/`, `pkg/workspace/creds.go`
(2026-08), and CLI 3.260.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from baseload.planner.diagnostics import Diagnostic, Location
from baseload.planner.errors import BaseloadError, UsageError

NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
"""Names of projects and stacks (`tokens.ParseStackName`)."""

LARGEST = 4_000_000
"""Bytes of a project file that are still read: far above what people write, far below what hurts."""

Decrypt = Callable[[str], str]


def unsupported(what: str, where: Path | None = None) -> UsageError:
    """The refusal of something only Pulumi can do; `what` is a noun phrase that names it."""
    return UsageError(
        Diagnostic(
            code="engine/unsupported",
            summary=f"the embedded engine does not support {what}",
            where=Location(where) if where else None,
            hint="use Pulumi: `--engine pulumi` (`deploy engine install` fetches it)",
        )
    )


def write_atomically(file: Path, content: bytes, before_rename: Callable[[], None] | None = None) -> None:
    """Replace `file` by `content` so that a reader, also after a crash, sees the old or the new file, whole.

    `before_rename` is called once the content is durable beside the file. Raises `OSError`; then the old file is
    untouched and no partial file is left behind.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o666)
        with os.fdopen(descriptor, "wb") as stream:
            if file.exists():
                temporary.chmod(file.stat().st_mode & 0o777)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if before_rename:
            before_rename()
        temporary.replace(file)
        sync_folder(file.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable; Windows cannot and needs not."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_error(error: OSError, file: Path, doing: str) -> BaseloadError:
    """An operating system's refusal, with place and remedy."""
    code, hint = {
        errno.ENOSPC: ("engine/disk-full", "free some space on that disk and run the command again"),
        errno.EFBIG: (
            "engine/disk-full",
            "a limit on the size of files forbids it (`ulimit -f`): raise it and run again",
        ),
        errno.EDQUOT: ("engine/disk-full", "your quota on that disk is used up: free some space and run again"),
        errno.EROFS: ("engine/not-writable", "that file system is read-only: choose another backend folder"),
        errno.EACCES: ("engine/not-writable", "give your user the right to read and write there"),
        errno.EPERM: ("engine/not-writable", "give your user the right to read and write there"),
    }.get(error.errno or 0, ("engine/file", "mend the cause and run the command again"))
    return BaseloadError.of(code, f"cannot {doing}: {error.strerror or error}", where=Location(file), hint=hint)


@contextmanager
def reporting(file: Path, doing: str) -> Iterator[None]:
    """What the operating system refuses inside becomes the error that `file_error` makes."""
    try:
        yield
    except OSError as error:
        raise file_error(error, file, doing) from error


@dataclass(frozen=True, kw_only=True)
class ProviderPlugin:
    """One entry of `plugins.providers`: `path` is a folder with `pulumi-resource-<name>` or `PulumiPlugin.yaml`."""

    name: str
    path: Path
    version: str = ""


@dataclass(frozen=True)
class ConfigValue:
    """A value as the files hold it: `text` is the string, or JSON with `{"secure": ciphertext}` where `object`."""

    text: str = field(repr=False)
    secret: bool = False
    object: bool = False


@dataclass(frozen=True, kw_only=True)
class Config:
    """Decrypted configuration by full key, objects as JSON: what a program and default providers are given."""

    values: Mapping[str, str] = field(repr=False)
    secret_keys: tuple[str, ...] = ()

    def of_package(self, package: str) -> dict[str, str]:
        """The part that becomes the inputs of a package's default provider, keys without the namespace."""
        prefix = package + ":"
        return {key.removeprefix(prefix): text for key, text in self.values.items() if key.startswith(prefix)}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project and one of its stacks."""

    root: Path
    name: str
    stack: str
    main: Path
    """The program's folder."""
    stack_file: Path
    """`Pulumi.<stack>.yaml`; need not exist."""
    backend_url: str
    """`file://` with an absolute path."""
    providers: tuple[ProviderPlugin, ...] = ()
    salt: str | None = None
    raw_config: Mapping[str, ConfigValue] = field(default_factory=dict)
    always_refresh: bool = False
    """`options.refresh: always` of Pulumi.yaml."""

    @classmethod
    def load(cls, root: Path, stack: str, environment: Mapping[str, str] | None = None) -> Project:
        """Read the files. Relative `file://` URLs count from `root`, where both engines run the CLI's work.

        Raises `UsageError`: `engine/no-project`, `engine/project-file`, `engine/stack-name`, `engine/no-backend`,
        `engine/config`, `engine/unsupported`.
        """
        environment = os.environ if environment is None else environment
        root = root.resolve()
        file = root / "Pulumi.yaml"
        data = _mapping(file, required=True)
        name = str(data.get("name", ""))
        if not NAME.fullmatch(name) or not name.strip("."):
            raise _bad(file, f"`name` must be letters, digits, '-', '_' or '.', at most 100; not {name!r}")
        if not NAME.fullmatch(stack) or not stack.strip("."):
            raise UsageError.of(
                "engine/stack-name",
                f"{stack!r} cannot name a stack",
                hint="letters, digits, '-', '_' and '.', at most 100",
            )
        _refuse_project(data, file)
        config = data.get("config")
        folder = config if isinstance(config, str) else _text(data, "stackConfigDir", file)
        stack_file = root / folder / f"Pulumi.{stack}.yaml"
        settings = _mapping(stack_file)
        _refuse_stack(settings, stack_file)
        return cls(
            root=root,
            name=name,
            stack=stack,
            main=root / _text(data, "main", file),
            stack_file=stack_file,
            backend_url=_backend(root, data, environment, file),
            providers=_providers(root, data, file),
            salt=_text(settings, "encryptionsalt", stack_file) or None,
            raw_config=_config(name, config if isinstance(config, dict) else {}, settings, file, stack_file),
            always_refresh=_section(data, "options", file).get("refresh") == "always",
        )

    def config(self, decrypt: Decrypt | None = None) -> Config:
        """The configuration in clear text; without `decrypt`, secret values are refused with `engine/passphrase`."""
        values: dict[str, str] = {}
        for key, value in self.raw_config.items():
            if not value.secret:
                values[key] = value.text
            elif decrypt is None:
                raise UsageError.of(
                    "engine/passphrase", f"{key} is secret and there is no passphrase", where=Location(self.stack_file)
                )
            elif value.object:
                values[key] = _go_json(_reveal(json.loads(value.text), decrypt))
            else:
                values[key] = decrypt(value.text)
        return Config(values=values, secret_keys=tuple(key for key, value in self.raw_config.items() if value.secret))

    def save_salt(self, salt: str) -> Project:
        """Write `encryptionsalt` into `Pulumi.<stack>.yaml`, all else (comments, order, line ends) kept.

        Raises `BaseloadError` where the file cannot be written, `UsageError` where its form leaves no place for a key.
        """
        file = self.stack_file
        with reporting(file, "write the encryption salt"):
            text = file.read_bytes().decode() if file.exists() else ""
            changed = _with_salt(text, salt)
            if not _says(changed, {**_parse(text, file), "encryptionsalt": salt}, file):
                raise _bad(file, f"found no place for a key; add this one yourself: encryptionsalt: {salt}")
            write_atomically(file, changed.encode())
        return replace(self, salt=salt)


def _bad(file: Path, summary: str, code: str = "engine/project-file", hint: str | None = None) -> BaseloadError:
    return UsageError.of(code, summary, where=Location(file), hint=hint)


class _Loader(yaml.SafeLoader):
    """YAML as Pulumi's Go library reads it: `yes`, `no`, `on` and `12:30` are text, a repeated key is an error.

    Aliases are refused: a few lines of them can stand for gigabytes, and Pulumi's files have no use for them.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", self.current_event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands there twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.nan", "-+0123456789."),
    ("timestamp", r"\d{4}-\d\d?-\d\d?([Tt ].*)?", "0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), list(_first))


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    legacy = re.fullmatch(r"([-+]?)0([0-7]+)", text)
    return int(f"{legacy[1]}0o{legacy[2]}" if legacy else text, 0)


def _date(loader: _Loader, node: yaml.ScalarNode) -> Any:
    raise yaml.constructor.ConstructorError(None, None, "a date without quotes: put quotes around it", node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)


def _parse(text: str, file: Path) -> dict[str, Any]:
    try:
        data = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError.of("engine/project-file", f"not valid YAML: {problem}", where=where) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _bad(file, "must be a mapping of keys to values")
    return data


def _mapping(file: Path, *, required: bool = False) -> dict[str, Any]:
    try:
        if file.is_file() and file.stat().st_size > LARGEST:
            raise _bad(file, f"larger than {LARGEST} bytes")
        return _parse(file.read_bytes().decode(), file)
    except FileNotFoundError:
        if not required:
            return {}
        hint = "`deploy init` makes a project; or name its folder with `--project`"
        raise _bad(file, "no such file: this folder is not a project", "engine/no-project", hint) from None
    except UnicodeDecodeError as error:
        raise _bad(file, f"not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise file_error(error, file, "read the project") from error


def _section(data: Mapping[str, Any], key: str, file: Path) -> Mapping[str, Any]:
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(file, f"`{key}` must be a mapping")
    return value


def _text(data: Mapping[str, Any], key: str, file: Path) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad(file, f"`{key}` must be text")
    return value


def _refuse_project(data: Mapping[str, Any], file: Path) -> None:
    runtime = data.get("runtime")
    runtime = runtime.get("name") if isinstance(runtime, dict) else runtime
    if runtime not in (None, "python"):
        raise unsupported(f"the runtime {runtime!r}", file)
    if data.get("packages"):
        raise unsupported("`packages` in Pulumi.yaml", file)
    if _section(data, "plugins", file).get("analyzers"):
        raise unsupported("policy packs (`plugins.analyzers`)", file)


def _refuse_stack(settings: Mapping[str, Any], file: Path) -> None:
    if settings.get("environment"):
        raise unsupported("Pulumi ESC (`environment`)", file)
    provider = _text(settings, "secretsprovider", file) or "passphrase"
    if provider not in ("passphrase", "default") or settings.get("encryptedkey"):
        raise unsupported(f"the secrets provider {provider.split('?')[0]!r}", file)


def _backend(root: Path, data: Mapping[str, Any], environment: Mapping[str, str], file: Path) -> str:
    url = environment.get("PULUMI_BACKEND_URL") or _text(_section(data, "backend", file), "url", file)
    if not url:
        raise _bad(
            file,
            "no backend: where is the state of this project's stacks?",
            "engine/no-backend",
            "set `backend: {url: file://./state}` in Pulumi.yaml, or PULUMI_BACKEND_URL",
        )
    scheme, _, rest = url.partition("://")
    if scheme != "file":
        raise unsupported(f"the backend {scheme}://", file)
    path, mark, query = rest.partition("?")
    return f"file://{Path(os.path.normpath(root / Path(path).expanduser())).as_posix()}{mark}{query}"


def _providers(root: Path, data: Mapping[str, Any], file: Path) -> tuple[ProviderPlugin, ...]:
    entries = _section(data, "plugins", file).get("providers") or []
    for entry in entries if isinstance(entries, list) else [None]:
        if not isinstance(entry, dict) or not entry.get("name") or not entry.get("path"):
            raise _bad(file, "each of `plugins.providers` needs `name` and `path`")
    return tuple(
        ProviderPlugin(name=str(e["name"]), path=root / str(e["path"]), version=str(e.get("version") or ""))
        for e in entries
    )


def _key(project: str, key: str, file: Path) -> str:
    parts = str(key).split(":")
    if len(parts) == 1:
        return f"{project}:{key}"
    if len(parts) == 2:
        return str(key)
    if len(parts) == 3 and parts[1] == "config":
        return f"{parts[0]}:{parts[2]}"
    raise _bad(file, f"{key!r} is not a configuration key; the form is `namespace:name`", "engine/config")


def _config(
    project: str, declared: Mapping[str, Any], settings: Mapping[str, Any], file: Path, stack_file: Path
) -> dict[str, ConfigValue]:
    entries = settings.get("config") or {}
    if not isinstance(entries, dict):
        raise _bad(stack_file, "`config` must be a mapping", "engine/config")
    values = {_key(project, key, stack_file): _value(item) for key, item in entries.items()}
    for key, declaration in declared.items():
        full = _key(project, key, file)
        if full in values:
            _check_type(full, declaration, values[full], stack_file)
            continue
        if not isinstance(declaration, dict):
            values[full] = _value(declaration)
            continue
        default = declaration.get("value", declaration.get("default"))
        if declaration.get("secret") and default is not None:
            raise unsupported(f"a secret default for the configuration key {full}", file)
        if default is None:
            hint = f"pulumi config set {full} <value>, or write it into {stack_file.name}"
            raise _bad(stack_file, f"the configuration key {full} is required and missing", "engine/config", hint)
        values[full] = _value(default)
    return dict(sorted(values.items()))


_TYPES: Mapping[str, Callable[[str], object]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": {"true": True, "false": False}.__getitem__,
    "array": lambda text: [*_array(text)],
}


def _array(text: str) -> list[Any]:
    value = json.loads(text)
    if not isinstance(value, list):
        raise TypeError
    return value


def _check_type(key: str, declaration: Any, value: ConfigValue, file: Path) -> None:
    kind = declaration.get("type") if isinstance(declaration, dict) else None
    if kind is None or value.secret:
        return
    if kind not in _TYPES:
        raise unsupported(f"the type {kind!r} of the configuration key {key}", file)
    try:
        _TYPES[kind](value.text)
    except (ValueError, TypeError, KeyError):
        raise _bad(file, f"the configuration key {key} must be of type {kind}", "engine/config") from None


def _value(item: Any) -> ConfigValue:
    if isinstance(item, str):
        return ConfigValue(item)
    if _ciphertext(item) is not None:
        return ConfigValue(item["secure"], secret=True)
    if isinstance(item, bool | int | float):
        return ConfigValue(_go_json(item))
    return ConfigValue(_go_json(item), secret=_has_secret(item), object=True)


def _ciphertext(item: Any) -> str | None:
    if isinstance(item, dict) and len(item) == 1 and isinstance(item.get("secure"), str):
        return str(item["secure"])
    return None


def _has_secret(item: Any) -> bool:
    if _ciphertext(item) is not None:
        return True
    children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return any(map(_has_secret, children))


def _reveal(item: Any, decrypt: Decrypt) -> Any:
    ciphertext = _ciphertext(item)
    if ciphertext is not None:
        return decrypt(ciphertext)
    if isinstance(item, dict):
        return {key: _reveal(child, decrypt) for key, child in item.items()}
    return [_reveal(child, decrypt) for child in item] if isinstance(item, list) else item


def _go_json(item: Any) -> str:
    """JSON as Go's encoder writes it, since programs and default providers are handed this very text."""
    try:
        text = json.dumps(_go_numbers(item), separators=(",", ":"), sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise UsageError.of("engine/config", "a configuration value is not a finite number") from None
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _go_numbers(item: Any) -> Any:
    """Whole floats without a fraction, up to where Go changes to exponents."""
    if isinstance(item, float) and item.is_integer() and abs(item) < 1e21:
        return int(item)
    if isinstance(item, dict):
        return {str(key): _go_numbers(child) for key, child in item.items()}
    return [_go_numbers(child) for child in item] if isinstance(item, list) else item


def _says(text: str, wanted: dict[str, Any], file: Path) -> bool:
    try:
        return _parse(text, file) == wanted
    except UsageError:
        return False


def _with_salt(text: str, salt: str) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"encryptionsalt: {salt}"
    changed, count = re.subn(r"(?m)^encryptionsalt:[ \t]*[^\s#]*", lambda _: line, text, count=1)
    if count:
        return changed
    head = re.match(r"(---[ \t]*\r?\n)?", text)
    start = head.end() if head else 0
    return f"{text[:start]}{line}{end}{text[start:]}"
