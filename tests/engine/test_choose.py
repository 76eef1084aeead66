"""Which engine is chosen, and what is said where none fits. The CLI here is a script that knows its version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from baseload.engine import choose
from baseload.planner.errors import BaseloadError, UsageError


def cli(folder: Path, version: str = "v3.272.0") -> Path:
    folder.mkdir(parents=True)
    script = folder / "pulumi"
    script.write_text(f"#!/bin/sh\necho '{version}'\n")
    script.chmod(0o755)
    return script


def code(error: BaseloadError) -> str:
    [item] = error.diagnostics
    return item.code


def test_the_order(tmp_path: Path) -> None:
    script = cli(tmp_path / "bin")
    here, nowhere = {"PATH": str(tmp_path / "bin")}, {"PATH": "", "HOME": str(tmp_path)}
    assert choose.choose(None, sandbox=False, environ=here).name == "pulumi"
    assert choose.choose(None, sandbox=True, environ=here).name == "pulumi"
    assert choose.choose("embedded", sandbox=False, environ=here).name == "embedded"
    assert choose.choose(None, sandbox=False, environ={**here, "BASELOAD_ENGINE": "embedded"}).name == "embedded"
    assert choose.choose("pulumi", sandbox=True, environ={**here, "BASELOAD_ENGINE": "embedded"}).name == "pulumi"
    assert choose.choose(None, sandbox=True, environ=nowhere).name == "embedded"
    found = choose.explain(None, sandbox=True, environ=here)
    assert (found.name, found.version, found.path) == ("pulumi", "3.272.0", script)
    assert choose.explain(None, sandbox=True, environ=nowhere).path is None


def test_a_real_cloud_without_a_cli_names_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        choose.choose(None, sandbox=False, environ={"PATH": "", "HOME": str(tmp_path)})
    assert code(caught.value) == "engine/none"
    hint = str(caught.value.diagnostics[0].hint)
    assert "deploy engine install" in hint
    assert "--engine embedded" in hint


def test_what_was_asked_for_must_be_there(tmp_path: Path) -> None:
    nowhere = {"PATH": "", "HOME": str(tmp_path)}
    for environ, preference, wanted in (
        (nowhere, "pulumi", "engine/no-pulumi"),
        (nowhere, "terraform", "engine/unknown"),
        ({**nowhere, "BASELOAD_ENGINE": "cdk"}, None, "engine/unknown"),
    ):
        with pytest.raises(UsageError) as caught:
            choose.choose(preference, sandbox=True, environ=environ)
        assert code(caught.value) == wanted


def test_the_newest_installed_version_is_found(tmp_path: Path) -> None:
    nowhere = {"PATH": "", "HOME": str(tmp_path)}
    for version in ("3.99.0", "3.272.0-rc.1", "3.272.0", "3.100.1"):
        cli(tmp_path / ".pulumi/versions" / version / "bin")
    assert choose.find(nowhere) == tmp_path / ".pulumi/versions/3.272.0/bin/pulumi"
    own = cli(tmp_path / ".pulumi/bin")
    assert choose.find(nowhere) == own
    home = cli(tmp_path / "home/bin")
    assert choose.find({**nowhere, "PULUMI_HOME": str(tmp_path / "home")}) == home


@pytest.mark.parametrize("version", ["v3.205.0", "v2.30.0", "v4.0.0", "no version at all"])
def test_a_cli_that_does_not_fit_is_refused_at_its_first_use(tmp_path: Path, version: str) -> None:
    environ = {"PATH": str(cli(tmp_path / "bin", version).parent)}
    assert choose.choose(None, sandbox=True, environ=environ).name == "pulumi"
    with pytest.raises(UsageError) as caught:
        choose.explain(None, sandbox=True, environ=environ)
    assert code(caught.value) == "engine/pulumi-unusable"


def test_an_installer_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    # In a process of its own: the SDK leaves a file open where its download fails.
    program = "from baseload.engine import choose; choose.install()"
    environ = {"HOME": str(tmp_path), "PATH": "", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, check=False)
    assert "error[engine/install]: the Pulumi CLI could not be installed: Connection refused" in done.stderr


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        choose.install("latest")
    assert code(caught.value) == "engine/version"


def test_what_is_installed_already_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    script = cli(tmp_path / ".pulumi/versions/3.270.0/bin", "v3.270.0")
    found = choose.install("v3.270.0")
    assert (found.path, found.version) == (script, "3.270.0")


def test_choosing_imports_no_engine() -> None:
    program = (
        "import sys; from baseload.engine import choose\n"
        "choose.find({'PATH': ''}); choose.choose('embedded', sandbox=True, environ={})\n"
        "choose.choose(None, sandbox=True, environ={'PATH': '', 'HOME': '/nowhere'})\n"
        "print([name for name in ('pulumi', 'grpc', 'httpx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
