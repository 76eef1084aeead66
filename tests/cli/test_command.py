"""The boundary: exit codes, streams, JSON in every case, help, colours, and what a quick command may import."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from baseload.cli.app import app
from baseload.planner.errors import ExitCode

Golden = Callable[[str, str], None]
Run = Callable[..., Any]

COMMANDS = (
    "init",
    "validate",
    "plan",
    "simulate",
    "up",
    "status",
    "invoke",
    "down",
    "prices",
    "prices list",
    "prices show",
    "prices check",
    "prices diff",
    "prices refresh",
    "schema",
    "doctor",
    "engine",
    "engine install",
    "sandbox",
    "sandbox start",
    "sandbox status",
    "sandbox stop",
    "compare",
    "traffic",
    "traffic show",
    "completion",
)


def test_exit_codes_are_pulumis() -> None:
    assert {item.name: item.value for item in ExitCode} == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "CREDENTIALS": 3,
        "DEPLOY_FAILED": 4,
        "LIMIT_BREACHED": 5,
        "NO_SUCH_STACK": 6,
        "CHANGES_FOUND": 7,
        "CANCELLED": 8,
        "TIMEOUT": 9,
        "BUG": 255,
    }


def test_there_are_these_commands() -> None:
    root = typer.main.get_command(app)
    found = set()
    for name, item in root.commands.items():  # type: ignore[attr-defined]
        found.add(name)
        found |= {f"{name} {sub}" for sub in getattr(item, "commands", {})}
    assert found == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, deploy: Run) -> None:
    result = deploy(*command.split(), "--help")
    assert result.code == 0
    assert f"Usage: deploy {command}" in result.out
    assert "Examples:\n    " in result.out
    assert f"deploy {command}" in result.out.split("Examples:")[1]
    assert "-s/--stack" in result.out
    assert result.err == ""


def test_help_of_all(deploy: Run, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    golden("help", deploy("--help").out)


def test_version(deploy: Run) -> None:
    result = deploy("--version")
    assert (result.code, result.out.split()[0]) == (0, "deploy")
    for arguments in (["--version", "--json"], ["--json", "--version"]):
        document = deploy(*arguments).json
        assert document == {"schema": "baseload.version/1", "version": result.out.split()[1]}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing command"),
        (["plam"], "No such command 'plam'"),
        (["plan", "--jsno"], "No such option: --jsno"),
        (["plan", "--stack"], "Option '--stack' requires an argument"),
        (["prices", "--color", "blue"], "'blue' is not one of 'auto', 'always', 'never'"),
        (["invoke"], "Missing argument 'model'"),
        (["sandbox"], "Missing command"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str, deploy: Run) -> None:
    result = deploy(*arguments)
    assert result.code == ExitCode.USAGE
    assert result.out == ""
    assert text in result.err
    assert "hint: `deploy" in result.err
    assert deploy("--json", *arguments).error == "usage"


def test_errors_as_people_read_them(project: Path, deploy: Run, golden: Golden) -> None:
    spec = project / "model_specs" / "mistral-7b.yaml"
    spec.write_text(spec.read_text().replace("gpu: ADA_24", "gpuz: ADA_24").replace("7.25B", "-1"))
    result = deploy("validate")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    golden("errors", result.err)
    document = deploy("plan", "--json").json
    assert len(document["error"]["diagnostics"]) > 1
    assert document["error"]["diagnostics"][0]["file"] == "model_specs/mistral-7b.yaml"


def broken_project_file(root: Path) -> None:
    (root / "Pulumi.yaml").write_text("name: [")


def nameless_project(root: Path) -> None:
    (root / "Pulumi.yaml").write_text("runtime: python\n")


def no_project(root: Path) -> None:
    (root / "Pulumi.yaml").unlink()


def no_specs(root: Path) -> None:
    (root / "model_specs" / "mistral-7b.yaml").unlink()


def two_stacks(root: Path) -> None:
    (root / "stacks" / "Pulumi.prod.yaml").write_text("config: {}\n")


def no_stack(root: Path) -> None:
    (root / "stacks" / "Pulumi.dev.yaml").unlink()


def binary_spec(root: Path) -> None:
    (root / "model_specs" / "x.yaml").write_bytes(b"\xff\xfe\x00")


def broken_stack_settings(root: Path) -> None:
    (root / "stacks" / "Pulumi.dev.yaml").write_text("config: [1]\n")


def damaged_state(root: Path) -> None:
    file = root / "state" / ".pulumi" / "stacks" / "endpoints" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"version": 3, "checkp')


def named_remote_cloud(root: Path) -> None:
    os.environ["RUNPOD_BASE_URL"] = "https://api.example.com/v2"


@pytest.mark.parametrize(
    ("spoil", "arguments", "code", "exit_code"),
    [
        (no_project, ["plan"], "project/none", 2),
        (no_project, ["status", "--sandbox"], "project/none", 2),
        (broken_project_file, ["plan"], "project/file", 2),
        (nameless_project, ["validate"], "project/file", 2),
        (no_specs, ["validate"], "spec/none", 2),
        (binary_spec, ["plan"], "spec/encoding", 2),
        (two_stacks, ["plan"], "stack/several", 2),
        (no_stack, ["plan"], "stack/none", 2),
        (broken_stack_settings, ["plan"], "engine/config", 2),
        (damaged_state, ["plan", "--engine", "embedded"], "engine/state-damaged", 2),
        (None, ["plan", "-C", "nowhere"], "project/no-folder", 2),
        (None, ["up", "--plan", "nowhere.json"], "plan/missing", 2),
        (None, ["up", "--engine", "none"], "engine/unknown", 2),
        (None, ["status", "--engine", "embedded"], "stack/unknown", 6),
        (None, ["down", "--engine", "embedded", "--yes"], "stack/unknown", 6),
        (None, ["invoke", "m", "--engine", "embedded"], "invoke/input", 2),
        (None, ["invoke", "m", "--engine", "embedded", "--input", "{"], "invoke/input", 2),
        (None, ["invoke", "m", "--engine", "embedded", "--input", '{"a": NaN}'], "invoke/input", 2),
        (None, ["invoke", "m", "--engine", "embedded", "--input", '"\\ud800"'], "invoke/input", 2),
        (None, ["invoke", "m", "--engine", "embedded", "--input", "[" * 100_000], "invoke/input", 2),
        (None, ["invoke", "m", "--engine", "embedded", "--prompt", "\udcff"], "invoke/input", 2),
        (None, ["invoke", "m", "--prompt", "x", "--timeout", "nan"], "usage", 2),
        (None, ["init"], "init/exists", 2),
        (named_remote_cloud, ["up", "--sandbox"], "cloud/not-loopback", 2),
    ],
)
def test_bad_luck_in_json(
    spoil: Callable[[Path], None] | None,
    arguments: list[str],
    code: str,
    exit_code: int,
    project: Path,
    deploy: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNPOD_BASE_URL", "")  # so that what a case sets is undone
    if spoil:
        spoil(project)
    result = deploy(*arguments, "--json")
    assert (result.error, result.code) == (code, exit_code)
    human = deploy(*arguments)
    assert (human.code, human.out) == (exit_code, "")
    assert f"error[{code}]: " in human.err
    assert "Traceback" not in result.err + human.err


def test_a_folder_that_cannot_be_written(project: Path, deploy: Run) -> None:
    result = deploy("plan", "--out", "nowhere/plan.json", "--json")
    assert result.code == ExitCode.ERROR
    assert result.error == "machine/io", "one document, though a plan was made"
    result = deploy("-C", "/proc/nothing", "init", "--json")
    assert result.error.startswith("machine/")
    assert os.strerror(errno.ENOENT) in result.json["error"]["diagnostics"][0]["summary"]


def test_a_bug_says_so_and_shows_nothing_else(project: Path, process: Run) -> None:
    # A package that a command needs is broken: the one way to make a bug without touching our own code.
    broken = project / "broken"
    broken.mkdir()
    (broken / "yaml.py").write_text("raise RuntimeError('hf_secret')")
    result = process("plan", "--json", cwd=project, env={"PYTHONPATH": str(broken)})
    assert (result.code, result.error) == (255, "bug")
    assert "hf_secret" not in result.out + result.err
    assert "Traceback" in process("plan", "--debug", cwd=project, env={"PYTHONPATH": str(broken)}).err


def test_global_options_stand_on_either_side(project: Path, deploy: Run) -> None:
    before, after = deploy("--stack", "prod", "--json", "plan"), deploy("plan", "--json", "--stack", "prod")
    assert before.json["stack"] == after.json["stack"] == "prod"
    assert deploy("-s", "one", "plan", "-s", "two", "--json").json["stack"] == "two"


def test_the_stack_is_named_by_the_environment(project: Path, deploy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_STACK", "staging")
    assert deploy("plan", "--json").json["stack"] == "staging"


@pytest.mark.parametrize(
    ("arguments", "variables", "colored"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color=always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {}, False),
    ],
)
def test_colours(
    arguments: list[str],
    variables: dict[str, str],
    colored: bool,
    project: Path,
    deploy: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ("\033[" in deploy("plan", *arguments).out) is colored
    assert ("\033[" in deploy("status", "--engine", "none", *arguments).err) is colored
    assert "\033[" not in deploy("plan", *arguments, "--json").out


@pytest.mark.parametrize(("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_on_a_terminal(variables: dict[str, str], colored: bool, project: Path) -> None:
    import pty

    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **variables}
    subprocess.run(
        [sys.executable, "-c", "from baseload.cli.main import main; main(['plan'])"],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=project,
        check=True,
    )
    os.close(terminal)
    assert (b"\033[" in os.read(controller, 100_000)) is colored
    os.close(controller)


def test_a_reader_that_goes_away_is_no_error(project: Path) -> None:
    program = "import sys; from baseload.cli.main import main; sys.exit(main(['schema']))"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=project
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert process.wait() == ExitCode.ERROR
    assert complaint == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_8(number: signal.Signals, project: Path) -> None:
    # A question that nobody answers: the command waits on its input until the signal comes.
    program = (
        # A process that a shell started in the background has SIGINT ignored, and so would its child.
        "import signal, sys; from baseload.cli.main import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "sys.exit(main(['invoke', 'm', '--input', '-', '--json']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=project,
    )
    assert process.stderr
    while b"baseload.providers.runpod.jobs" not in process.stderr.readline():
        pass
    process.send_signal(number)
    out, _ = process.communicate()
    assert process.returncode == ExitCode.CANCELLED
    assert json.loads(out)["error"]["code"] == "cancelled"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, deploy: Run) -> None:
    assert "_DEPLOY_COMPLETE=complete_" in deploy("completion", shell).out


def test_completion_completes(process: Run) -> None:
    asked = {"_DEPLOY_COMPLETE": "complete_bash", "COMP_WORDS": "deploy sta", "COMP_CWORD": "1"}
    assert process(env=asked).out.split() == ["status"]


@pytest.mark.parametrize(
    ("words", "found"),
    [("deploy plan --stack d", ["dev"]), ("deploy invoke m", ["mistral-7b"]), ("deploy invoke x", [])],
)
def test_completion_knows_stacks_and_models(words: str, found: list[str], project: Path, process: Run) -> None:
    asked = {"_DEPLOY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert process(cwd=project, env=asked).out.split() == found


def test_a_first_plan_imports_nothing_heavy(project: Path) -> None:
    program = (
        "import sys; from baseload.cli.main import main; code = main(['plan', '--json']);"
        "print(' '.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.splitlines()[-1].split()}
    heavy = {
        "asyncio",
        "boto3",
        "cryptography",
        "google",
        "grpc",
        "httpx",
        "pulumi",
        "pydantic",
        "rich",
        "ssl",
        "starlette",
        "uvicorn",
    }
    assert loaded & heavy == set()


@pytest.mark.parametrize("command", ["validate", "plan", "prices", "schema"])
def test_results_are_alone_on_stdout(command: str, project: Path, deploy: Run) -> None:
    result = deploy(command, "--json")
    assert result.code == 0
    assert result.json
    if command != "schema":
        assert result.json["schema"] == f"baseload.{command}/1"


def test_the_schema_is_the_one_that_init_writes(project: Path, deploy: Run) -> None:
    file = project / "model_specs" / "schema" / "model-spec.schema.json"
    assert deploy("schema").out == file.read_text()


@pytest.mark.parametrize(
    "arguments", [["prices", "--json"], ["engine", "--engine", "embedded"], ["nonsense", "--json"]]
)
def test_a_full_disk_below_stdout(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:  # long and short answers fail at different moments
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from baseload.cli.main import deploy; sys.exit(deploy())", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr.count("\n\n")) == (ExitCode.ERROR, 1)
    assert "error[machine/disk-full]: " in done.stderr


def test_engine_says_why(deploy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deploy("engine", "--engine", "embedded", "--json").json["reason"] == "asked for by --engine"
    monkeypatch.setenv("BASELOAD_ENGINE", "embedded")
    assert deploy("engine", "--json").json["reason"] == "asked for by BASELOAD_ENGINE"


def test_doctor_looks_into_the_state(project: Path, deploy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> dict[str, str]:
        checks = deploy("doctor", "--engine", "embedded", "--json").json["checks"]
        return {item["what"]: item["found"] for item in checks if item["health"] == "wrong"}

    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", "nowhere")
    [(what, found)] = wrong().items()
    assert (what, "nowhere" in found) == ("passphrase", True)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "not the one")
    assert wrong() == {}
    salt = "v1:d6s8+B0Q0JM=:v1:oUcxM2H3tqE5eUx/:AozlytmNOyzbDmD57qD5UAGKJ3tsUQ=="  # of "pw"
    settings = project / "stacks" / "Pulumi.dev.yaml"
    settings.write_text(f"{settings.read_text()}\nencryptionsalt: {salt}\n")
    assert wrong() == {"passphrase": "the passphrase does not open this stack's secrets"}
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "pw")
    assert wrong() == {}
    damaged_state(project)
    assert "the state is damaged" in wrong()["state"]


def test_doctor_names_what_is_wrong_and_how_to_mend_it(project: Path, deploy: Run) -> None:
    result = deploy("doctor", "--engine", "embedded", "--json")
    checks = {item["what"]: item for item in result.json["checks"]}
    assert result.code == ExitCode.OK
    assert {name for name, item in checks.items() if item["health"] == "warning"} == {"passphrase", "key"}
    assert checks["specs"]["found"] == "mistral-7b"
    (project / "model_specs" / "mistral-7b.yaml").write_text("name: 7\n")
    result = deploy("doctor", "--engine", "none", "--json")
    checks = {item["what"]: item for item in result.json["checks"]}
    assert result.code == ExitCode.ERROR
    assert {name for name, item in checks.items() if item["health"] == "wrong"} == {"engine", "specs"}
    assert all(item["remedy"] for item in checks.values() if item["health"] == "wrong" and item["what"] == "engine")
