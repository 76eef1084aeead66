"""Passphrase secrets: the format, where the passphrase comes from, and what a wrong one is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseload.engine.files.secrets import FILE_VARIABLE, VARIABLE, Crypter, Passphrase
from baseload.planner.errors import ExitCode, UsageError

SALT = "v1:Xhc6ga9SFS8=:v1:eumAOkwdbdA2CYOh:hUsIXWPeSeSBMXwCM+UG0fiN067Z8Q=="
SEALED = "v1:fuB84Z5RBQ3TmCFD:BJoSeEPhEM3eTs/QP5ZvB3S4QC2SVYZk2qlCsRKBD4AAu6ws+fBNLBINBIAYvBLAGxyCxZFKH/E="
"""Made by Pulumi 3.260 with the passphrase `x`."""

CRYPTER = Crypter.open(SALT, "x")


def code(error: pytest.ExceptionInfo[UsageError]) -> str:
    assert error.value.exit_code is ExitCode.USAGE
    return error.value.diagnostics[0].code


def test_pulumis_own_ciphertext_opens() -> None:
    assert CRYPTER.decrypt(SEALED) == '{"n":null,"x":"häß\\u003c\\u0026\\u003e"}'
    assert CRYPTER.salt == SALT


@given(st.text())
def test_round_trip_with_a_fresh_nonce(text: str) -> None:
    first, second = CRYPTER.encrypt(text), CRYPTER.encrypt(text)
    assert first != second
    assert CRYPTER.decrypt(first) == CRYPTER.decrypt(second) == text


def test_new_salt_opens_with_its_passphrase_only() -> None:
    made = Crypter.create("")
    assert Crypter.open(made.salt, "").decrypt(made.encrypt("a")) == "a"
    with pytest.raises(UsageError) as error:
        Crypter.open(made.salt, "other-phrase")
    assert code(error) == "engine/passphrase-wrong"
    assert VARIABLE in str(error.value)
    assert "other-phrase" not in str(error.value)


@pytest.mark.parametrize("salt", ["", "v1", "v2:AAAA:v1:AAAA:AAAA", "v1:!:v1:AAAA:AAAA"])
def test_malformed_salt(salt: str) -> None:
    with pytest.raises(UsageError) as error:
        Crypter.open(salt, "x")
    assert code(error) == "engine/salt"


@given(st.text() | st.text(alphabet="v1:=Aa/").map(lambda text: "v1:" + text))
def test_no_text_breaks_decrypt(text: str) -> None:
    with pytest.raises(UsageError) as error:
        CRYPTER.decrypt(text)
    assert code(error) == "engine/ciphertext"


def test_changed_ciphertext_does_not_open() -> None:
    swapped = SEALED.replace("BJoS", "BJoT")
    with pytest.raises(UsageError):
        CRYPTER.decrypt(swapped)


def test_passphrase_comes_from_the_variable_then_the_file_then_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("  x\n")
    prompts: list[str] = []

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return "x"

    variable, file = {VARIABLE: "x", FILE_VARIABLE: "nowhere"}, {FILE_VARIABLE: "phrase"}
    for environment in (variable, file, {FILE_VARIABLE: str(tmp_path / "phrase")}):
        assert Passphrase(tmp_path, environment, ask).open(SALT).decrypt(SEALED)
    assert prompts == []
    asked = Passphrase(tmp_path, {}, ask)
    assert asked.open(SALT) is asked.open(SALT)
    assert len(prompts) == 1


def test_empty_variable_counts(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        Passphrase(tmp_path, {VARIABLE: ""}, lambda _: "x").open(SALT)
    assert code(error) == "engine/passphrase-wrong"


def test_new_passphrase_is_asked_for_twice(tmp_path: Path) -> None:
    answers = iter(["one", "two", "same", "same"])
    passphrase = Passphrase(tmp_path, {}, lambda _: next(answers))
    with pytest.raises(UsageError, match="differ"):
        passphrase.create()
    crypter = passphrase.create()
    assert passphrase.open(crypter.salt) is crypter
    assert Crypter.open(crypter.salt, "same").decrypt(crypter.encrypt("a")) == "a"


@pytest.mark.parametrize(
    ("environment", "words"), [({}, FILE_VARIABLE), ({FILE_VARIABLE: "missing"}, "No such file or directory")]
)
def test_without_a_passphrase(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        Passphrase(tmp_path, environment).open(SALT)
    assert code(error) == "engine/passphrase"
    assert VARIABLE in str(error.value)


def test_nothing_shows_a_passphrase_or_a_key(tmp_path: Path) -> None:
    passphrase = Passphrase(tmp_path, {VARIABLE: "x-phrase-x"})
    crypter = passphrase.create()
    assert "x-phrase-x" not in repr(passphrase) + repr(crypter) + crypter.salt


def test_the_cipher_is_imported_late() -> None:
    """Commands that meet no secret do not pay for it."""
    modules = "baseload.engine.files.backend, baseload.engine.files.project"
    script = f"import sys, {modules}; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_pulumi_opens_what_we_seal(tmp_path: Path) -> None:
    executable = shutil.which("pulumi")
    if not executable:
        pytest.skip("no `pulumi` on PATH")
    crypter = Crypter.create("x")
    (tmp_path / "Pulumi.yaml").write_text(f"name: shop\nruntime: python\nbackend: {{url: 'file://{tmp_path}'}}\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(
        f"encryptionsalt: {crypter.salt}\nconfig:\n  shop:token: {{secure: '{crypter.encrypt('häß<&>')}'}}\n"
    )
    environment = {**os.environ, "PULUMI_HOME": str(tmp_path), VARIABLE: "x", "PULUMI_SKIP_UPDATE_CHECK": "true"}
    for words in (["stack", "init", "dev"], ["config", "get", "token", "-s", "dev"]):
        result = subprocess.run(
            [executable, *words, "--non-interactive"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "häß<&>"
