"""What a user reads about a bad spec: whole texts, and one line per rule."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from baseload.planner import errors
from baseload.planner.performance import gpus
from baseload.planner.spec import file, load, load_with_warnings, source, structure

GOOD = """\
name: a
model: {id: org/name, parameters: 7B}
target: {runpod: {gpu: ADA_24}}
"""

TYPOS = """\
name: Bad_Name
modle: {id: x}
model:
  id: Mistral
  parameters: 7.25
  precision: fp17
  max_context: 8k
traffic:
  requests_per_day: -5
  tokens: {in: 512}
service_level: {p95: 10, cold_starts: allowed}
limits: {monthly_usd: "300", increase_percent: 20}
performance: {service_time: 1.8, cold_start: 25 sec, service_time_cv: 1e30}
image: foo
gpu: ADA_24
target:
  runpod:
    gpu: RTX 4090
    gpuz: 1
    mode: activ
    workers: {min: 5}
    idle_timeout: 1.5s
    scaling: {queue_delay: 4s, request_count: 4}
    flashboot: yes
    execution_timeout: 7d
    min_cuda: 12.8
    data_centers: [EU-RO-1, eu-ro-1]
    volume:
"""

CONTAINER = """\
name: x-fb
model: {id: org/m, parameters: 70B}
container:
  image: foo/bar
  env:
    A: 4711
    B: true
    1C: x
    D: {secrt: X}
    E: {secret: "hf-s3cret"}
    BASELOAD_X: "1"
    F: [s3cret]
    G: {{ RUNPOD_SECRET_x }}
    H: *s3cret
    I: !s3cret
    J: 0123456
    K: {secret: [s3cret]}
    L-s3cret: x
    "M:s3cret":
target: {runpod: {gpu: ADA_80_PRO, idle_timeout: 5s, scaling: {request_count: 2}, workers: {max: 0}}}
"""

YAML = """\
name: a
name: b
<<: {name: c}
1: x
limits: {monthly_usd: .nan, hourly_worst_case_usd: 1e999999999}
traffic: {requests_per_day: 010}
model: &m {id: "org/\\0", parameters: 7B}
target: {runpod: {gpu: ADA_24, workers: {min: 1:30, max: 0x10}, volume: "\\e[31m"}}
"""

LATER = """\
name: a
model: {id: org/m, parameters: 7B}
traffic: {curve: office-hours}
target: replicate
"""

HYBRID = """\
name: a
model: {id: org/m, parameters: 7B}
target:
  hybrid:
    baseline: {runpod-pod: {gpu: ADA_24}, lambda-sagemaker: {instance: g5.xlarge}}
    burst: {runpod: {gpu: L40S, workers: {min: 1}}}
    router: {}
  runpods: {}
"""


PLATFORMS = {
    "lambda-sagemaker": """\
name: a
model: {id: org/m, parameters: 70B}
traffic: {requests_per_day: 10, payload_bytes: {in: 7e6, out: 10}}
performance: {service_time: 45s}
target:
  lambda-sagemaker:
    instance: ml.g5.xlarge
    instances: {min: 3, max: 2}
    region: us_east_1
    memory_mb: 64
    architecture: arm
    front: http-api
    gpu: L4
    schedule:
      time_zone: Europe/Berln
      windows: [{days: mon-fry, min: 1}, {from: 08:00, to: 08:00, min: 5}]
""",
    "sagemaker-serverless": """\
name: a
model: {id: org/m, parameters: 7B}
traffic: {requests_per_day: 10, payload_bytes: {in: 5e6, out: 10}}
performance: {service_time: 61s}
target: {sagemaker-serverless: {memory_mb: 2500, max_concurrency: 300, provisioned_concurrency: 301, gpu: T4, vpc: yes}}
""",
    "runpod-pod": """\
name: a
model: {id: org/m, parameters: 70B}
target:
  runpod-pod:
    gpu: NVIDIA L4
    pods: 2
    tier: spot
    disk: 20
    schedule: {windows: [{days: [mon, mon], min: 3}], otherwise: 4}
""",
    "modal": """\
name: a
model: {id: org/m, parameters: 70B}
performance: {service_time: 25h}
target:
  modal:
    gpu: A10
    gpu_count: 6
    containers: {min: 5, max: 4}
    scaledown_window: 2h
    region: EU
    nonpreemptible: true
    keep_warm: 1
""",
    "modal-names": """\
name: a
model: {id: org/m, parameters: 70B}
target: {modal: {gpu: A10G, containers: {max: 5000, buffer: -1}, memory_gib: 64GB}}
""",
    "hybrid-does-not-fit": """\
name: a
model: {id: org/m, parameters: 7B}
target:
  hybrid:
    baseline: {lambda-sagemaker: {instance: ml.g4dn.xlarge}}
    burst: {modal: {gpu: T4, gpu_count: 9}}
    off_hours: {}
""",
}


def _write(folder: Path, **texts: str | bytes) -> list[Path]:
    files = []
    for name, text in texts.items():
        files.append(folder / f"{name}.yaml")
        files[-1].write_bytes(text.encode() if isinstance(text, str) else text)
    return files


def _told(files: Sequence[Path], folder: Path) -> str:
    with pytest.raises(errors.SpecError) as caught:
        load(files)
    assert caught.value.exit_code == errors.ExitCode.USAGE
    return str(caught.value).replace(f"{folder}{os.sep}", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("typos", TYPOS), ("container", CONTAINER), ("yaml", YAML), ("later", LATER), ("hybrid", HYBRID)),
        *PLATFORMS.items(),
    ],
)
def test_everything_wrong_with_a_file_is_said_at_once(
    name: str, text: str, tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    told = _told(_write(tmp_path, **{name: text}), tmp_path)
    assert "s3cret" not in told
    assert "4711" not in told
    golden(f"spec-{name}", told)


def test_files_that_are_no_spec(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    files = _write(
        tmp_path,
        alias="a: *a\n",
        bom_in_the_middle="name: \ufeffa\n",
        deep="[" * 100_000,
        documents="a: 1\n---\nb: 2\n",
        dots="a: b: c\n",
        empty="",
        keys="? {a: 1}\n: 2\n",
        latin=b"name: caf\xe9\n",
        large="#" * 2**21,
        list="- a\n- b\n",
        nothing="# later\n---\n",
        tab="target:\n\trunpod: {}\n",
        tagged="!!python/object/apply:os.system [exit]\n",
        utf16="name: a\n".encode("utf-16"),
    )
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    files += [folder, tmp_path / "missing.yaml", Path("/dev/zero"), tmp_path / "nul\0.yaml", tmp_path / ("n" * 300)]
    golden("spec-files", _told(files, tmp_path).replace("n" * 300, "n…n").replace("\0", "\\0"))


def test_an_unreadable_file(tmp_path: Path) -> None:
    (locked,) = _write(tmp_path, locked=GOOD)
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    assert "cannot read this file: Permission denied" in _told([locked], tmp_path)


def test_two_specs_with_one_name(tmp_path: Path) -> None:
    files = _write(tmp_path, one=GOOD, two=GOOD.replace("7B", "zero"), three="# x\n" + GOOD)
    assert _told(files, tmp_path).splitlines()[0].startswith("three.yaml:2:7: error[spec/duplicate-name]")
    assert "already taken in one.yaml:1:7" in _told([files[0], files[2]], tmp_path)
    assert len(load([files[0], files[0]])) == 1


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    files = _write(tmp_path, windows=b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(files)[0].name == "a"


SIDES = "baseline: {runpod-pod: {gpu: NVIDIA L4}}, burst: {runpod: {gpu: AMPERE_24}}"


@pytest.mark.parametrize(
    ("target", "codes"),
    [
        ("modal: {gpu: L4, containers: {max: 11}}", ["modal/quota"]),
        ("modal: {gpu: L4, containers: {max: 11}, plan: team}", []),
        ("lambda-sagemaker: {instance: ml.g5.xlarg}", ["aws/unknown-instance"]),
        ("runpod: {gpu: ADA_24, mode: active, schedule: {windows: [{min: 1}]}}", []),
        ("runpod: {gpu: ADA_24, schedule: {windows: [{min: 4}]}}", ["schedule/min-above-max"]),
        ("runpod: {gpu: ADA_24, schedule: {windows: [{from: 22:00, to: 06:00, min: 1}, {min: 2}]}}", []),
        ("sagemaker-serverless: {memory_mb: 4096, max_concurrency: 4}", ["aws/does-not-fit"]),
        (
            f"hybrid: {{{SIDES}, schedule: {{windows: [{{min: 9}}]}}}}",
            [],
        ),  # of replicas: the burst has 3 workers at most
        (f"hybrid: {{{SIDES}, base: 1, schedule: {{windows: [{{min: 1}}]}}}}", ["spec/too-many-keys"]),
        (
            f"hybrid: {{{SIDES}, schedule: {{windows: [{{from: 08:00, to: 08:00, min: 1}}]}}}}",
            ["schedule/empty-window"],
        ),
    ],
)
def test_rules_of_other_targets(target: str, codes: list[str]) -> None:
    found = file.parse_spec(Path("a"), f"name: a\nmodel: {{id: o/m, parameters: 7B}}\ntarget: {{{target}}}")
    assert [item.code for item in found.diagnostics] == codes


R = "target: {runpod: {gpu: ADA_24, %s}}"
RULES = [
    # (what replaces the target or is added, the code, the place)
    (R % "mode: active", "runpod/active-without-workers", "3:38"),
    (R % "mode: active, workers: {max: 2}", "runpod/active-without-workers", "3:38"),
    (R % "mode: active, workers: {min: 0}", "runpod/active-without-workers", "3:61"),
    (R % "mode: active, workers: {min: 1}", None, None),
    (R % "workers: {min: 1}", "runpod/flex-with-workers", "3:47"),
    (R % "mode: active, workers: {min: 4}", "runpod/min-above-max", "3:61"),
    (R % "mode: active, workers: {min: 4, max: 4}", None, None),
    (R % "workers: {max: 0}", "spec/out-of-range", "3:47"),
    (R % "workers: {max: 1}", "runpod/one-worker", "3:47"),
    (R % "workers: {max: 1001}", "spec/out-of-range", "3:47"),
    (R % "workers: {min: true}", "spec/type", "3:47"),
    (R % "workers: {max: 2.5}", "spec/type", "3:47"),
    (R % "workers: {max: 2e0}", None, None),
    (R % "idle_timeout: 5s, scaling: {request_count: 1}", "runpod/idle-timeout", "3:46"),
    (R % "scaling: {request_count: 1}", None, None),
    (R % "scaling: {request_count: 0}", "spec/out-of-range", "3:57"),
    (R % "scaling: {queue_delay: 500ms}", None, None),
    (R % "scaling: {queue_delay: 499ms}", "spec/out-of-range", "3:55"),
    (R % "scaling: {queue_delay: 0.5}", "spec/unit", "3:55"),
    (R % "scaling: {}", "spec/missing-key", "3:41"),
    (R % "scaling: {queue_delay: 4s, request_count: 1}", "spec/too-many-keys", "3:41"),
    (R % "idle_timeout: 3600s", None, None),
    (R % "idle_timeout: 61m", "spec/out-of-range", "3:46"),
    (R % "idle_timeout: 0s", "spec/out-of-range", "3:46"),
    (R % "idle_timeout: 1500ms", "spec/out-of-range", "3:46"),
    (R % 'idle_timeout: "5s\\n"', "spec/unit", "3:46"),
    (R % "idle_timeout: ٥s", "spec/unit", "3:46"),
    (R % "execution_timeout: 4s", "spec/out-of-range", "3:51"),
    (R % "execution_timeout: 168h", None, None),
    (R % "execution_timeout: 169h", "spec/out-of-range", "3:51"),
    (R % "flashboot: off", None, None),
    (R % "flashboot: on", "spec/choice", "3:43"),
    (R % 'min_cuda: "12.8"', None, None),
    (R % 'min_cuda: "12"', "spec/format", "3:42"),
    (R % "data_centers: [EU-RO-1, EU-RO-1]", "spec/repeated", "3:46"),
    (R % "data_centers: EU-RO-1", "spec/type", "3:46"),
    (R % "volume: my volume", "spec/format", "3:40"),
    (R % "gpu_count: 0", "spec/out-of-range", "3:43"),
    (R % "active_discount: 1.01", "spec/out-of-range", "3:49"),
    (R % "active_discount: 0.2", None, None),
    ("target: {runpod: {gpu: ADA_25}}", "spec/gpu-pool", "3:24"),
    ("target: {runpod: {gpu: AMPERE_24}}", None, None),
    ("target: {runpod: {}}", "spec/missing-key", "3:10"),
    ("target: {}", "spec/missing-key", "3:9"),
    ("target:", "spec/type", "3:8"),
    ("target: {lambda-sagemaker: {}}", "spec/missing-key", "3:10"),
    ("target: {lambda: {}}", "spec/ambiguous", "3:10"),
    (GOOD.splitlines()[2] + "\ntraffic: {hourly: [1, 2]}", "spec/length", "4:19"),
    (GOOD.splitlines()[2] + "\ntraffic: {curve: diurnal}", "spec/missing-key", "4:1"),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, requests_per_hour: 1}", "spec/too-many-keys", "4:32"),
    (GOOD.splitlines()[2] + "\ntraffic: {log: {file: a}, curve: diurnal}", "spec/too-many-keys", "4:27"),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, time_zone: Berlin}", "spec/time-zone", "4:43"),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, time_zone: Europe}", "spec/time-zone", "4:43"),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, time_zone: Europe/Berlin}", None, None),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, growth: 10%}", "spec/format", "4:40"),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, growth: -2.5%/month}", None, None),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, active_share: 0}", "spec/out-of-range", "4:46"),
    (GOOD.splitlines()[2] + "\ntraffic: {batch: {jobs: 1, at: 2am, within: 4h}}", "spec/format", "4:32"),
    (GOOD.splitlines()[2] + "\ntraffic: {batch: {jobs: 1, at: 02:00, within: 4h}}", None, None),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1e30}", "spec/out-of-range", "4:29"),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 0}", None, None),
    (GOOD.splitlines()[2] + "\ntraffic: {requests_per_day: 1, range: {low: 2}}", "spec/out-of-range", "4:45"),
    (GOOD.splitlines()[2] + "\nperformance: {service_time: 11m}", "runpod/timeout", "4:29"),
    (GOOD.splitlines()[2] + "\nperformance: {cold_start: 8m}", "runpod/slow-start", "4:27"),
    (GOOD.splitlines()[2] + "\nservice_level: {p95: 1s, p99: 2s, cold_starts: forbidden}", None, None),
    (GOOD.splitlines()[2] + "\nservice_level: {p95: 1}", "spec/unit", "4:22"),
    (GOOD.splitlines()[2] + "\nrequires: {residency: [mars]}", "spec/choice", "4:24"),
    (GOOD.splitlines()[2] + "\nops_cost_per_month: {dedicated: 400, lambda-cloud: 0.5}", None, None),
    (GOOD.splitlines()[2] + "\nops_cost_per_month: {dedicated: -1}", "spec/out-of-range", "4:33"),
    (GOOD.splitlines()[2] + "\nlimits: {increase_percent: -1}", "spec/out-of-range", "4:28"),
]


@pytest.mark.parametrize(("text", "code", "place"), RULES)
def test_rules(text: str, code: str | None, place: str | None) -> None:
    path = Path("a.yaml")
    spec = "\n".join([*GOOD.splitlines()[:2], text])
    found = file.parse_spec(path, spec).diagnostics
    assert [(item.code, str(item.where)) for item in found] == ([(code, f"a.yaml:{place}")] if code else [])


@pytest.mark.parametrize(
    ("model", "pool", "count", "fits"),
    [
        # 2 bytes * 7.25e9 / 2^30 + 1.5 = 15.0 GiB against 0.9 * 16 = 14.4 and 0.9 * 24 = 21.6
        ("parameters: 7.25B", "AMPERE_16", 1, False),
        ("parameters: 7.25B", "ADA_24", 1, True),
        ("parameters: 7.25B, precision: fp8", "AMPERE_16", 1, True),
        # 130.4 + 1.5 against 72 and 162; 130.4 + 3 against 144
        ("parameters: 70B", "ADA_80_PRO", 1, False),
        ("parameters: 70B", "ADA_80_PRO", 2, True),
        ("parameters: 70B", "BLACKWELL_180", 1, True),
        ("parameters: 70B, precision: int4", "AMPERE_48", 1, True),
        ("parameters: 1T", "BLACKWELL_180", 8, False),
    ],
)
def test_a_model_must_fit_its_gpus(model: str, pool: str, count: int, fits: bool) -> None:
    text = f"name: a\nmodel: {{id: o/m, {model}}}\ntarget: {{runpod: {{gpu: {pool}, gpu_count: {count}}}}}"
    found = file.parse_spec(Path("a"), text).diagnostics
    assert [item.code for item in found] == ([] if fits else ["runpod/does-not-fit"])


@pytest.mark.parametrize(
    ("image", "warned"),
    [
        ("acme/x", True),
        ("acme/x:latest", True),
        ("localhost:5000/x", True),
        ("localhost:5000/x:1", False),
        ("registry.example/acme/x:1.4.2", False),
        ("acme/x@sha256:" + "0" * 64, False),
        ("acme/x:latest@sha256:" + "0" * 64, False),
    ],
)
def test_a_mutable_tag_is_warned_of(image: str, warned: bool) -> None:
    text = f"name: a\ncontainer: {{image: '{image}'}}\n{GOOD.splitlines()[2]}"
    found = file.parse_spec(Path("a"), text)
    assert found.spec is not None
    assert [item.code for item in found.diagnostics] == (["runpod/mutable-tag"] if warned else [])


@pytest.mark.parametrize("image", ["https://registry.example/a/b", "a b", "UPPER", "", "a:", "a@sha256:12"])
def test_what_is_no_image(image: str) -> None:
    text = f"name: a\ncontainer: {{image: '{image}'}}\n{GOOD.splitlines()[2]}"
    assert [item.code for item in file.parse_spec(Path("a"), text).diagnostics] == ["spec/format"]


@pytest.mark.parametrize(
    ("gpu", "pools"),
    [
        ("RTX 4090", "`ADA_24`"),
        ("4090", "`ADA_24`"),
        ("NVIDIA GeForce RTX 4090", "`ADA_24`"),
        ("rtx5090", "`ADA_32_PRO`"),
        ("H100 SXM", "`ADA_80_PRO`"),
        ("a100-80gb", "`AMPERE_80`"),
        ("L4", "`AMPERE_24`"),
        ("L40S", "`ADA_48_PRO`"),
    ],
)
def test_a_card_is_answered_with_its_pool(gpu: str, pools: str) -> None:
    text = GOOD.replace("ADA_24", f"'{gpu}'")
    (found,) = file.parse_spec(Path("a"), text).diagnostics
    assert found.code == "spec/gpu-pool"
    assert found.hint == f"endpoints name a pool, not a card; `{gpu}` is in {pools}"


def test_a_misspelt_pool_and_an_unknown_card() -> None:
    near, far = (file.parse_spec(Path("a"), GOOD.replace("ADA_24", g)).diagnostics[0].hint for g in ("ada-24", "T4"))
    assert near == "did you mean `ADA_24`?"
    assert far == "one of " + ", ".join(f"`{pool}`" for pool in list(gpus.POOLS)[:-1]) + " and `BLACKWELL_180`"


@pytest.mark.parametrize(
    "env", ["A=s3cret", "[A=s3cret]", "{A:s3cret}", "{A:s3cret, A:s3cret}", "{A: {s3cret}}", "*s3cret"]
)
def test_a_value_of_the_environment_is_never_repeated(env: str) -> None:
    text = f"name: a\ncontainer: {{image: 'a:1', env: {env}}}\n{GOOD.splitlines()[2]}"
    found = file.parse_spec(Path("a"), text).diagnostics
    assert found
    assert "s3cret" not in "".join(map(str, found))


def test_warnings_come_with_the_specs(tmp_path: Path) -> None:
    files = _write(tmp_path, a=GOOD + "performance: {cold_start: 8m}\n")
    specs, warnings = load_with_warnings(files)
    assert [spec.name for spec in specs] == ["a"]
    assert [(item.code, item.severity) for item in warnings] == [("runpod/slow-start", "warning")]


def test_a_file_full_of_problems_tells_some() -> None:
    found = file.parse_spec(Path("a"), "".join(f"k{n}: 1\n" for n in range(1000))).diagnostics
    assert len(found) == file.MOST_PROBLEMS + 1
    assert found[-1].code == "spec/more"


def test_the_schema_uses_only_keywords_that_have_words() -> None:
    words = Path(structure.__file__).read_text(encoding="utf-8")
    silent = {
        "$schema", "$ref", "$defs", "title", "description", "default", "examples", "properties", "propertyNames",
        "items", "writeOnly", "x-wanted", "x-unit", "x-later", "x-several", "x-compared", "x-never",
    }  # fmt: skip

    def keywords(rule: object) -> set[str]:
        if not isinstance(rule, dict):
            return set()
        inner = [*rule.get("properties", {}).values(), *rule.get("$defs", {}).values()]
        inner += [rule.get(key) for key in ("items", "additionalProperties", "propertyNames")]
        return set(rule).union(*(keywords(item) for item in inner))

    for keyword in keywords(structure.schema()) - silent:
        assert f'case "{keyword}"' in words or f'| "{keyword}"' in words, keyword


def test_aliases_are_refused_before_they_grow() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    document = source.parse(Path("a"), "\n".join(lines))
    assert {item.code for item in document.problems} == {"spec/alias"}
