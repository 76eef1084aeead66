"""What an engine reads in `Pulumi.yaml` and `Pulumi.<stack>.yaml`, by Pulumi's rules, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from baseload.engine.files.project import Project, ProviderPlugin
from baseload.engine.files.secrets import Crypter
from baseload.planner.errors import BaseloadError, UsageError

CRYPTER = Crypter.create("x")
HEAD = "name: shop\nruntime: python\nbackend: {url: file://./state}\n"

Load = Callable[..., Project]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(project: str = HEAD, stack: str | None = None, **environment: str) -> Project:
        (tmp_path / "Pulumi.yaml").write_text(project)
        if stack is not None:
            (tmp_path / "Pulumi.dev.yaml").write_text(stack)
        return Project.load(tmp_path, "dev", environment)

    return load


def refusal(load: Load, *files: str, **environment: str) -> tuple[str, str]:
    with pytest.raises(UsageError) as error:
        load(*files, **environment)
    return error.value.diagnostics[0].code, str(error.value)


def test_everything_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "Pulumi.yaml").write_text(
        """
name: shop
runtime: {name: python, options: {toolchain: uv}}
main: stacks
stackConfigDir: stacks
description: a shop
backend: {url: "file://./state?no_tmp_dir=true"}
options: {refresh: always}
plugins:
  providers:
    - {name: cloud, path: ./plugins/cloud, version: 1.2.0}
"""
    )
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text(f"encryptionsalt: {CRYPTER.salt}\n")
    project = Project.load(tmp_path, "dev", {})
    assert project == Project(
        root=tmp_path,
        name="shop",
        stack="dev",
        main=tmp_path / "stacks",
        stack_file=tmp_path / "stacks" / "Pulumi.dev.yaml",
        backend_url=f"file://{tmp_path}/state?no_tmp_dir=true",
        providers=(ProviderPlugin(name="cloud", path=tmp_path / "plugins/cloud", version="1.2.0"),),
        salt=CRYPTER.salt,
        always_refresh=True,
    )


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("file://./a", "{root}/a"),
        ("file://a/../b", "{root}/b"),
        ("file://~", "{home}"),
        ("file://~/x", "{home}/x"),
        ("file:///x", "/x"),
    ],
)
def test_variable_wins_and_relative_addresses_count_from_the_project(load: Load, url: str, place: str) -> None:
    project = load(PULUMI_BACKEND_URL=url)
    assert project.backend_url == "file://" + place.format(root=project.root, home=Path.home())


CONFIG = f"""
encryptionsalt: {CRYPTER.salt}
config:
  plain: text
  shop:flag: true
  shop:yes: yes
  shop:time: 12:30
  shop:octal: 012
  shop:big: 10000000000000000000
  shop:float: 1.50
  shop:whole: 2.0
  shop:quoted: "012"
  cloud:config:region: eu
  cloud:key: {{secure: "{CRYPTER.encrypt("s3cret")}"}}
  shop:tree: {{b: [1, null, {{secure: "{CRYPTER.encrypt("deep<&>")}"}}], a: "<"}}
  shop:list: [x]
"""

WANTED = {
    "shop:plain": "text",
    "shop:flag": "true",
    "shop:yes": "yes",
    "shop:time": "12:30",
    "shop:octal": "10",
    "shop:big": "10000000000000000000",
    "shop:float": "1.5",
    "shop:whole": "2",
    "shop:quoted": "012",
    "cloud:region": "eu",
    "cloud:key": "s3cret",
    "shop:tree": r'{"a":"\u003c","b":[1,null,"deep\u003c\u0026\u003e"]}',
    "shop:list": '["x"]',
}


def test_values_are_what_pulumi_makes_of_them(load: Load) -> None:
    project = load(HEAD, CONFIG)
    config = project.config(CRYPTER.decrypt)
    assert config.values == WANTED
    assert config.secret_keys == ("cloud:key", "shop:tree")
    assert config.of_package("cloud") == {"region": "eu", "key": "s3cret"}
    assert "s3cret" not in repr(config) + repr(project)
    with pytest.raises(UsageError, match="cloud:key is secret"):
        project.config()


def test_pulumi_makes_the_same_of_them(load: Load, tmp_path: Path) -> None:
    executable = shutil.which("pulumi")
    if not executable:
        pytest.skip("no `pulumi` on PATH")
    load(HEAD, CONFIG)
    (tmp_path / "state").mkdir()
    environment = {
        **os.environ,
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    for words in (["stack", "init", "dev"], ["config", "-s", "dev", "--show-secrets", "--json"]):
        command = [executable, *words, "--non-interactive"]
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert {key: item["value"] for key, item in answer.items()} == WANTED
    assert sorted(key for key, item in answer.items() if item["secret"]) == ["cloud:key", "shop:tree"]


def test_project_defaults(load: Load) -> None:
    declared = HEAD + (
        "config:\n  size: 3\n  region: {type: string, default: eu}\n"
        "  cloud:zone: {value: a}\n  tags: {type: array, default: [x]}\n"
    )
    values = load(declared, "config: {shop:region: us}").config().values
    assert values == {"shop:size": "3", "shop:region": "us", "cloud:zone": "a", "shop:tags": '["x"]'}


@pytest.mark.parametrize(
    ("declared", "stack", "expected", "words"),
    [
        ("config: {size: {type: integer}}", "", "engine/config", "shop:size is required"),
        ("config: {size: {type: integer}}", "config: {size: many}", "engine/config", "must be of type integer"),
        ("config: {size: {type: tuple}}", "config: {size: 1}", "engine/unsupported", "'tuple'"),
        ("config: {size: {secret: true, default: x}}", "", "engine/unsupported", "a secret default"),
        ("", "config: {a:b:c: 1}", "engine/config", "'a:b:c' is not a configuration key"),
        ("", "config: [1]", "engine/config", "`config` must be a mapping"),
        ("", "config: {a: .inf}", "engine/config", "finite"),
        ("", "config: {a: 2026-01-01}", "engine/project-file", "put quotes around it"),
        ("", "environment: [prod]", "engine/unsupported", "ESC"),
        ("", "secretsprovider: awskms://alias/x?region=y", "engine/unsupported", "'awskms://alias/x'"),
        ("", "secretsprovider: passphrase\nencryptedkey: abc", "engine/unsupported", "secrets provider"),
        ("packages: {a: ./b}", "", "engine/unsupported", "`packages`"),
        ("plugins: {analyzers: [{name: a, path: b}]}", "", "engine/unsupported", "policy packs"),
        ("plugins: {providers: [{name: a}]}", "", "engine/project-file", "needs `name` and `path`"),
        ("plugins: []", "", "engine/project-file", "`plugins` must be a mapping"),
        ("main: [a]", "", "engine/project-file", "`main` must be text"),
    ],
)
def test_refused_by_name(load: Load, declared: str, stack: str, expected: str, words: str) -> None:
    code, text = refusal(load, f"{HEAD}{declared}\n", stack)
    assert code == expected
    assert words in text


def test_other_backends_runtimes_and_none(load: Load) -> None:
    code, text = refusal(load, HEAD, PULUMI_BACKEND_URL="s3://bucket?token=t0p")
    assert (code, "s3://" in text, "t0p" in text) == ("engine/unsupported", True, False)
    code, text = refusal(load, HEAD.replace("python", "nodejs"))
    assert (code, "'nodejs'" in text) == ("engine/unsupported", True)
    code, text = refusal(load, "name: shop\nruntime: python\n")
    assert (code, "PULUMI_BACKEND_URL" in text) == ("engine/no-backend", True)


BOMB = "a: &a [x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{f'*{chr(97 + i)},' * 9}]\n" for i in range(9))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: shop\n\truntime: x", "Pulumi.yaml:2:1"),
        ("name: a\nname: b", "the key 'name' stands there twice"),
        (BOMB, "aliases are not supported"),
        ("- a", "must be a mapping"),
        ("", "`name` must be"),
        ("name: ../x", "`name` must be"),
        ("a: [" * 5000, "not valid YAML"),
        ("x" * 5_000_000, "larger than"),
    ],
)
def test_wrong_files_name_the_place(load: Load, text: str, words: str) -> None:
    code, message = refusal(load, text)
    assert code == "engine/project-file"
    assert words in message


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_bytes(b"name: \xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        Project.load(tmp_path, "dev", {})


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="engine/no-project"):
        Project.load(tmp_path, "dev", {})


@pytest.mark.parametrize("stack", ["", "..", "a/b", "a b", "ü", "x" * 101])
def test_names_that_cannot_be_a_stack(load: Load, tmp_path: Path, stack: str) -> None:
    load()
    with pytest.raises(UsageError, match="engine/stack-name"):
        Project.load(tmp_path, stack, {})


ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PROJECT_KEYS = ["runtime", "main", "config", "stackConfigDir", "backend", "options", "packages", "plugins"]
STACK_KEYS = ["encryptionsalt", "secretsprovider", "encryptedkey", "environment", "config"]


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(PROJECT_KEYS, ANY)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(STACK_KEYS, ANY)),
)
@settings(max_examples=150)
def test_no_file_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, project: dict[str, Any], stack: dict[str, Any]
) -> None:
    root = tmp_path_factory.mktemp("project")
    document = {"name": "shop", "backend": {"url": "file://state"}, **project}
    (root / "Pulumi.yaml").write_text(yaml.safe_dump(document))
    (root / "Pulumi.dev.yaml").write_text(yaml.safe_dump(stack))
    try:
        loaded = Project.load(root, "dev", {})
    except BaseloadError:
        return
    assert all(isinstance(value.text, str) for value in loaded.raw_config.values())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "encryptionsalt: {salt}\n"),
        ("", "encryptionsalt: {salt}\n"),
        (
            "# ours\nconfig:\n  a: 1 # one\n  b: |\n    x",
            "encryptionsalt: {salt}\n# ours\nconfig:\n  a: 1 # one\n  b: |\n    x",
        ),
        ("encryptionsalt: old # why\nconfig: {a: 1}\n", "encryptionsalt: {salt} # why\nconfig: {a: 1}\n"),
        ("config: {a: 1}\r\n", "encryptionsalt: {salt}\r\nconfig: {a: 1}\r\n"),
        ("---\nconfig: {a: 1}\n...\n", "---\nencryptionsalt: {salt}\nconfig: {a: 1}\n...\n"),
    ],
)
def test_salt_is_written_and_all_else_stays(load: Load, tmp_path: Path, before: str | None, after: str) -> None:
    project = load(HEAD)
    file = tmp_path / "Pulumi.dev.yaml"
    if before is not None:
        file.write_bytes(before.encode())
        file.chmod(0o600)
    saved = project.save_salt(CRYPTER.salt)
    assert file.read_bytes().decode() == after.replace("{salt}", CRYPTER.salt)
    assert saved.salt == Project.load(tmp_path, "dev", {}).salt == CRYPTER.salt
    assert before is None or file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("text", ["{config: {a: 1}}\n", "%YAML 1.1\n---\nconfig: {a: 1}\n"])
def test_salt_without_a_place_is_told(load: Load, tmp_path: Path, text: str) -> None:
    project = load(HEAD, text)
    with pytest.raises(UsageError, match="add this one yourself: encryptionsalt: v1:"):
        project.save_salt(CRYPTER.salt)
    assert (tmp_path / "Pulumi.dev.yaml").read_text() == text


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder that nobody can write, as Linux's /sys")
def test_folder_that_cannot_be_written(load: Load) -> None:
    project = load(HEAD + "stackConfigDir: /sys\n")
    with pytest.raises(BaseloadError, match="cannot write the encryption salt") as error:
        project.save_salt(CRYPTER.salt)
    assert error.value.diagnostics[0].code == "engine/not-writable"
