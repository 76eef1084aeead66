"""The sandbox as a background process: started, found again, stopped, killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from baseload.planner.errors import UsageError
from baseload.sandbox import server

HEADERS = {"Authorization": "Bearer key"}


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "sandbox"
    server.stop(tmp_path / "sandbox")


def call(method, url, **more):
    return httpx.request(method, url, headers=HEADERS, trust_env=False, **more)


def pid_of(addresses) -> int:
    return int(call("GET", addresses.base_url.removesuffix("v2") + "_sandbox").json()["pid"])


def children_of(pid) -> list[int]:
    return [int(name) for file in Path(f"/proc/{pid}/task").glob("*/children") for name in file.read_text().split()]


def is_alive(pid) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def until(true, *, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_start_status_stop_and_start_again_on_the_same_ports(folder, body):
    assert server.status(folder) is None
    assert server.stop(folder) is False
    addresses = server.start(folder)
    assert server.start(folder) == server.status(folder) == addresses
    made = call("POST", f"{addresses.base_url}/serverless", json=body()).json()
    pid = pid_of(addresses)
    assert server.stop(folder) is True
    until(lambda: not is_alive(pid))
    assert server.status(folder) is None
    assert server.start(folder) == addresses
    assert call("GET", f"{addresses.base_url}/serverless/{made['id']}").json() == made
    assert (folder / "server.log").read_text(encoding="utf-8") == ""
    assert stat.S_IMODE((folder / "runpod.json").stat().st_mode) == 0o600


def test_many_starts_at_once_make_one_server(folder):
    with ThreadPoolExecutor(4) as pool:
        processes = [*pool.map(lambda _: subprocess.run(_start(folder), capture_output=True, check=True), range(4))]
    assert len({process.stdout for process in processes}) == 1
    assert server.status(folder) is not None


def _start(folder):
    program = "import sys; from pathlib import Path; from baseload.sandbox.server import start; "
    return [sys.executable, "-c", f"{program}print(start(Path(sys.argv[1])))", str(folder)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_do_not_outlive_their_server(folder, body, number):
    addresses = server.start(folder)
    pid = pid_of(addresses)
    call("POST", f"{addresses.base_url}/serverless", json=body(workers={"min": 2, "max": 2}))
    until(lambda: len(children_of(pid)) == 2)
    workers = children_of(pid)
    os.kill(pid, number)
    until(lambda: not any(is_alive(process) for process in (pid, *workers)))
    assert server.status(folder) is None
    assert server.start(folder) == addresses
    assert len(call("GET", f"{addresses.base_url}/serverless").json()["endpoints"]) == 1


def test_a_server_whose_folder_is_removed_ends(folder):
    pid = pid_of(server.start(folder))
    shutil.rmtree(folder)
    until(lambda: not is_alive(pid))


def test_a_taken_port_is_said_so(folder):
    addresses = server.start(folder)
    server.stop(folder)
    port = httpx.URL(addresses.base_url).port
    with socket.create_server(("127.0.0.1", port)):
        assert server.status(folder) is None
        with pytest.raises(UsageError, match=f"port {port} or .* is taken by another program; end it, or delete"):
            server.start(folder)


def test_a_cut_state_file_is_said_so(folder):
    server.start(folder)
    server.stop(folder)
    (folder / "runpod.json").write_text('{"schema": "base', encoding="utf-8")
    with pytest.raises(UsageError, match=r"runpod\.json cannot be read .*; delete it to begin with an empty sandbox"):
        server.start(folder)
    (folder / "runpod.json").unlink()
    (folder / "server.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"server\.json cannot be read"):
        server.start(folder)
    (folder / "server.json").unlink()


def test_the_cold_start_can_be_set_and_keys_are_not_inherited(folder, monkeypatch):
    monkeypatch.setenv("BASELOAD_SANDBOX_COLD_START_S", "7.5")
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_secret")
    addresses = server.start(folder)
    switches = call("GET", addresses.base_url.removesuffix("v2") + "_sandbox/switches").json()
    assert switches["cold_start_s"] == 7.5
    assert b"rpa_secret" not in Path(f"/proc/{pid_of(addresses)}/environ").read_bytes()
    server.stop(folder)
    monkeypatch.setenv("BASELOAD_SANDBOX_COLD_START_S", "soon")
    with pytest.raises(UsageError, match="'soon' is no number of seconds"):
        server.start(folder)


def test_asking_for_the_status_loads_no_web_server():
    heavy = "{'starlette', 'uvicorn', 'jsonschema'}"
    program = f"import sys, baseload.sandbox.server; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
