"""The page of `deploy plan --html` in a real Chromium: no network, no error, figures as the planner computed them."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

DEPLOY = Path(sysconfig.get_path("scripts")) / "deploy"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on PATH: the page of `deploy plan --html` was not looked at in a browser"
)

WIDE, PHONE = (1440, 900), (360, 740)


class Tab:
    """One tab of a browser without a window, driven over its own protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer; events that come before it are kept."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") != number:
                self.events.append(message)
                continue
            assert "error" not in message, message
            result = message["result"]
            assert isinstance(result, dict)
            return result

    def open(self, url: str, size: tuple[int, int] = WIDE, *, script: bool = True) -> None:
        """Load a page and wait until it is there."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not self.named("Page.loadEventFired"):
            self.events.append(json.loads(self._socket.recv(timeout=30)))

    def named(self, name: str) -> list[dict[str, Any]]:
        """Parameters of the events of a kind since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") == name]

    def value(self, expression: str) -> Any:
        """What JavaScript makes of it."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """A key, down and up."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def shot(self, file: Path) -> None:
        """The whole page as a picture."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(answer["data"]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running browser's protocol."""
    assert CHROMIUM is not None
    profile = tmp_path_factory.mktemp("chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    process = subprocess.Popen(
        [CHROMIUM, "--headless", *root, *quiet, "--remote-debugging-port=0", f"--user-data-dir={profile}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = profile / "DevToolsActivePort"
        until = time.monotonic() + 60
        while not port.exists() or not port.read_text(encoding="ascii").strip():
            assert process.poll() is None, "the browser ended before it was there"
            assert time.monotonic() < until, "the browser does not say where it listens"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text(encoding='ascii').split()[0]}"
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def tab(browser: str) -> Iterator[Tab]:
    """A fresh tab."""
    request = urllib.request.Request(f"{browser}/json/new", method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        address = json.load(answer)["webSocketDebuggerUrl"]
    with connect(address, max_size=None) as socket:
        yield Tab(socket)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by the real command, for two models."""
    root = tmp_path_factory.mktemp("project")
    run("init", "--cwd", str(root))
    first = (root / "model_specs" / "mistral-7b.yaml").read_text(encoding="utf-8")
    second = first.replace("name: mistral-7b", "name: second").replace("1000", "40000")
    (root / "model_specs" / "second.yaml").write_text(second, encoding="utf-8")
    run("plan", "--cwd", str(root), "--html", str(root / "report.html"))
    return root / "report.html"


@pytest.fixture(scope="module")
def figures(page: Path) -> dict[str, Any]:
    """What the planner put into the page."""
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    document = json.loads(found[1])
    assert isinstance(document, dict)
    return document


def run(*arguments: str) -> None:
    done = subprocess.run([DEPLOY, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 5), done.stderr


def text(tab: Tab, figure: str, model: str = "mistral-7b") -> str:
    shown = tab.value(f'document.querySelector(\'[data-model="{model}"] [data-figure="{figure}"]\').textContent')
    assert isinstance(shown, str)
    return shown


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_it_loads_without_network_error_or_sideways_scrolling(size: tuple[int, int], tab: Tab, page: Path) -> None:
    tab.open(page.as_uri(), size)
    tab.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert tab.value("document.documentElement.scrollWidth") <= size[0]
    assert tab.value("document.querySelector('.controls').getBoundingClientRect().right") <= size[0]
    requested = {event["request"]["url"] for event in tab.named("Network.requestWillBeSent")}
    assert {url for url in requested if not url.startswith("data:")} == {page.as_uri()}
    assert tab.named("Runtime.exceptionThrown") == []
    assert tab.named("Log.entryAdded") == []


def test_the_policy_lets_nothing_be_loaded_or_run(tab: Tab, page: Path) -> None:
    tab.open(page.as_uri())
    tab.value("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    tab.value("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = true'}))")
    fetched = "fetch('http://127.0.0.1:9/').then(String, String)"
    asked = tab.call("Runtime.evaluate", expression=fetched, awaitPromise=True)
    assert "TypeError" in asked["result"]["value"]
    assert tab.value("window.ran === undefined") is True
    said = [event["entry"]["text"] for event in tab.named("Log.entryAdded")]
    assert len(said) >= 2
    assert all("Content Security Policy" in line for line in said)


def test_keys_and_buttons_step_through_the_planners_figures(tab: Tab, page: Path, figures: dict[str, Any]) -> None:
    model = figures["mistral-7b"]
    traffic, idle, least = model["own"]
    tab.open(page.as_uri())
    assert text(tab, "month") == model["points"][traffic][idle][least]["figures"]["month"]
    controls = 'document.querySelector(\'[data-model="mistral-7b"] [data-axis="{}"]\')'
    for axis, step in ((0, 1), (0, 1), (1, -1), (2, 1)):
        tab.value(f"{controls.format(axis)}.focus()")
        tab.press(*(("ArrowRight", 39) if step > 0 else ("ArrowLeft", 37)))
    there = model["points"][traffic + 2][idle - 1][least + 1]
    for figure, shown in there["figures"].items():
        assert text(tab, figure) == shown
    assert there["figures"]["month"] != model["points"][traffic][idle][least]["figures"]["month"]
    part = max(range(len(there["parts"])), key=lambda number: there["parts"][number][1])
    width = tab.value(f"document.querySelector('rect[data-part=\"{part}\"]').getAttribute('width')")
    assert float(width.rstrip("%")) == there["parts"][part][1] > 0
    amounts = tab.value("[...document.querySelector('.split').querySelectorAll('span')].map((one) => one.textContent)")
    assert amounts == [amount for _, _, amount in there["parts"]]
    assert tab.value(f"{controls.format(0)}.getAttribute('aria-valuetext')") == model["axes"][0][traffic + 2]
    cell = "row.querySelector('[data-cell=\"month\"]').textContent"
    bills = tab.value(f"[...document.querySelector('[data-targets]').rows].map((row) => {cell})")
    assert bills == [cells["month"] for cells in model["targets"][traffic + 2]]
    assert tab.value("document.querySelector('[role=status]').textContent").startswith(there["figures"]["month"])
    second = figures["second"]
    place = second["own"]
    assert text(tab, "month", "second") == second["points"][place[0]][place[1]][place[2]]["figures"]["month"]
    tab.value(f"{controls.format(0)}.parentElement.querySelector('button').click()")
    assert text(tab, "month") == model["points"][traffic + 1][idle - 1][least + 1]["figures"]["month"]
    tab.value("document.querySelector('[data-reset]').click()")
    assert text(tab, "month") == model["points"][traffic][idle][least]["figures"]["month"]
    assert tab.named("Runtime.exceptionThrown") == []


def test_without_javascript_the_same_figures_stand_there(tab: Tab, page: Path, figures: dict[str, Any]) -> None:
    words = "document.querySelector('main').innerText"
    tab.open(page.as_uri(), script=False)
    assert tab.value("document.querySelector('.controls').parentElement.hidden") is True
    for name, model in figures.items():
        traffic, idle, least = model["own"]
        for figure, shown in model["points"][traffic][idle][least]["figures"].items():
            assert text(tab, figure, name) == shown
        for cells in model["targets"][traffic]:
            assert cells["month"] in tab.value(words)


def test_every_control_and_table_has_a_name(tab: Tab, page: Path) -> None:
    tab.open(page.as_uri())
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    named = {"slider": 6, "button": 14, "table": 6, "region": 6, "image": 4}
    for role, fewest in named.items():
        found = [node for node in nodes if node.get("role", {}).get("value") == role and not node["ignored"]]
        assert len(found) >= fewest, role
        assert all(node.get("name", {}).get("value") for node in found), role
    unscoped = tab.value("document.querySelectorAll('th:not([scope])').length")
    assert unscoped == 0


@pytest.mark.parametrize(("size", "shown"), [(WIDE, "wide"), (PHONE, "narrow")])
def test_changes_of_the_order_are_marked_between_the_steps(
    size: tuple[int, int], shown: str, tab: Tab, page: Path
) -> None:
    """A mark stands where the curves cross: its letter's own is on other sides of the spec's to its left and right."""
    tab.open(page.as_uri(), size)
    marks = tab.value(MARKS % shown)
    assert marks
    for mark in marks:
        assert mark["from"] >= mark["first"]
        assert mark["to"] <= mark["last"]
        assert mark["before"] != mark["after"], mark


MARKS = """
(() => {
  const chart = document.querySelector("[data-model] svg.chart.%s");
  const places = chart.dataset.places.split(" ").map(Number);
  const curve = (number) => Object.fromEntries([...chart.querySelectorAll(`.point-${number}`)]
    .map((point) => [places.findIndex((place) => Math.abs(place - point.getAttribute("cx")) < 0.1),
                     Number(point.getAttribute("cy"))]));
  return [...chart.querySelectorAll(".change")].map((mark) => {
    const from = Number(mark.getAttribute("x")), to = from + Number(mark.getAttribute("width"));
    const own = curve(0), other = curve(mark.getAttribute("class").split("-")[1]);
    const dearer = (step) => other[step] < own[step];
    const before = places.findLastIndex((place, step) => place <= from && step in own && step in other);
    const after = places.findIndex((place, step) => place >= to && step in own && step in other);
    return {from, to, first: places[0], last: places.at(-1), before: dearer(before), after: dearer(after)};
  });
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str, tab: Tab, page: Path) -> None:
    """4.5 to 1, as WCAG 2.2 AA asks for (1.4.3); disabled controls are exempt."""
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.open(page.as_uri())
    assert tab.value(CONTRAST) == []


CONTRAST = """
(() => {
  const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (!color.endsWith(", 0)")) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("main *, header *, footer *")]
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
    .filter((one) => !one.disabled && !one.closest("[hidden]"))
    .map((one) => {
      const style = getComputedStyle(one);
      const [a, b] = [light(one.closest("svg") ? style.fill : style.color), light(ground(one))];
      return [one.tagName + "." + one.getAttribute("class"), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    })
    .filter(([, ratio]) => ratio < 4.5)
    .map(([name, ratio]) => name + " " + ratio.toFixed(2));
})()
"""
