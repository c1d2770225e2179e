"""HTML reports in a real browser: every control works on any screen, and nothing is loaded from outside."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.check_samples import check_figures, check_report
from tests.report.html_samples import HOSTILE, nothing, pictures, report
from tests.report.rounds_samples import rounds_report
from tests.report.stack_samples import film, places, stack_report
from zncc_cli.report.batch_html import BatchHtmlRow, thumbnail, write_batch_html
from zncc_cli.report.check_html import write_check_html
from zncc_cli.report.overlay import overlay
from zncc_cli.report.pair_html import write_pair_html
from zncc_cli.report.rounds_html import round_picture, write_rounds_html
from zncc_cli.report.stack_html import write_stack_html

selenium = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser: pip install selenium")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="no chromium and chromedriver; apt-get install chromium chromium-driver"
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


WITH_VIEWS = ("ok", "failed", "hostile", "check", "hostile_check")  # the reports of both images, seen in several ways


class Browser:
    """A headless Chromium: how an HTML report is shown, what is visible in it, and what it has asked for."""

    def __init__(self, profile: str) -> None:
        options = selenium.ChromeOptions()
        options.binary_location = BROWSER
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))

    def command(self, name: str, **arguments: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def show(self, path: Path, *, width: int = 1200, media: dict[str, str] | None = None, script: bool = True) -> None:
        """Open ``path`` anew, as it is shown on such a screen, and wait until all of it is there.

        On a busy machine the driver may take the end of an earlier page's loading for the end of this one's.
        """
        features = [{"name": name, "value": value} for name, value in (media or {}).items()]
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", media="", features=features)
        self.command("Emulation.setScriptExecutionDisabled", value=not script)
        self.driver.get(path.as_uri())
        WebDriverWait(self.driver, 60).until(
            lambda _: self.run("return [location.href, document.readyState]") == [path.as_uri(), "complete"]
        )

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of ``script``'s return."""
        return self.driver.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        """Click the one element, as a person does: it has to be there to be hit."""
        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def choose(self, name: str, value: str) -> None:
        """Click a button of a choice."""
        self.click(f"input[name={name}][value={value}]")

    def set(self, name: str, value: float) -> None:
        """Move a slider or take an option."""
        self.run(
            "const e = document.getElementsByName(arguments[0])[0]; e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', {bubbles: true}))",
            name,
            str(value),
        )

    def visible(self, selector: str = "[data-view]") -> list[str]:
        """Names of the views, or texts of what else is chosen, that can be seen."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter(e => e.checkVisibility({visibilityProperty: true})).map(e => e.dataset.view || e.textContent)",
            selector,
        )

    def style(self, selector: str, name: str) -> str:
        """A computed style."""
        return self.run("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name)

    def complaints(self) -> list[str]:
        """What the console says, and every address that was asked for but the HTML reports' own.

        The browser asks its start page's parts (chrome:) of itself, on a busy machine after the first report is there.
        """
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return said + [
            url for url in asked if not url.startswith(("data:", "file:///", "chrome:", "chrome-untrusted:"))
        ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        opened = Browser(profile)
        yield opened
        opened.driver.quit()


@pytest.fixture(autouse=True)
def no_complaints(browser: Browser) -> Iterator[None]:
    browser.complaints()
    yield
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def html_reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pair that is aligned, one that failed, one whose names are long and hostile, and a batch of them."""
    folder = tmp_path_factory.mktemp("html_reports")
    good = report(command=["zncc-align", "fixed.tif", "moving.tif"], notes=["series 0 of 3 was read"])
    failed = report(status="failed", reasons=["no agreement found"], metrics={})
    long = "a" * 300
    hostile = report(fixed=long, moving=HOSTILE, reasons=[long, HOSTILE], metrics={long: long}, settings={long: long})
    contents = {"ok": (good, pictures((300, 400))), "failed": (failed, nothing()), "hostile": (hostile, pictures())}
    for name, (given, shown) in contents.items():
        write_pair_html(folder / f"{name}.html", given, shown, files=("aligned.tif", "transform.json"))
    rows = [
        BatchHtmlRow(
            name=f"{name}_{number}",
            status=given["status"],
            reason=given["reasons"][0],
            metrics={"zncc_after": number / 10},
            thumbnail=thumbnail(overlay(shown.layers)),
            report=f"{name}.html",
        )
        for name, (given, shown) in contents.items()
        for number in range(3)
    ]
    write_batch_html(folder / "batch.html", rows)
    hostile_movie = stack_report(image=HOSTILE, reasons=[long, HOSTILE], notes=[long], settings={long: long})
    for name, content in (("movie", stack_report()), ("hostile_movie", hostile_movie)):
        write_stack_html(folder / f"{name}.html", content, places(), film(), files=("stack.tif",))
    picture = round_picture(pictures().layers)
    write_rounds_html(folder / "rounds.html", rounds_report(), [None, picture], files=("merged.ome.tif",))
    write_rounds_html(folder / "hostile_rounds.html", rounds_report(f"{HOSTILE}{long}", "failed"), [None, None])
    write_check_html(folder / "check.html", check_report(), check_figures(), files=("shift.tif",))
    hostile_check = check_report(f"{HOSTILE}{long}", "failed")
    write_check_html(folder / "hostile_check.html", hostile_check, check_figures(measured=False))
    return {file.stem: file for file in folder.glob("*.html")}


def test_side_by_side_is_shown_first(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    assert browser.visible() == ["overlay-before", "overlay-after"]
    left, right = browser.run(
        "return [...document.querySelectorAll('[data-view^=overlay]')].map(e => e.getBoundingClientRect().left)"
    )
    assert right > left + 300


def test_overlay_before_and_after(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "overlay")
    assert browser.visible() == ["overlay-after"]
    browser.choose("moving", "before")
    assert browser.visible() == ["overlay-before"]
    assert browser.visible(".tags span:first-child") == ["before"]


def test_an_aligned_image_has_no_before(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["check"])
    assert browser.visible() == ["fixed", "after"]
    assert browser.visible("legend") == ["View"]
    browser.choose("mode", "overlay")
    assert browser.visible() == ["overlay-after"]
    browser.choose("mode", "slider")
    assert browser.visible() == ["fixed", "after"]
    assert browser.visible(".tags span") == ["fixed", "aligned"]


def test_slider_cuts_the_moving_image(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "slider")
    assert browser.visible() == ["fixed", "after"]
    assert browser.style("[data-view=after]", "clipPath") == "inset(0px 0px 0px 50%)"
    browser.set("cut", 20)
    assert browser.style("[data-view=after]", "clipPath") == "inset(0px 0px 0px 20%)"
    browser.driver.find_element("name", "cut").send_keys(selenium.Keys.ARROW_RIGHT)  # the keyboard does, too
    assert browser.style("[data-view=after]", "clipPath") == "inset(0px 0px 0px 20.5%)"


def test_slider_is_dragged_by_its_border(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "slider")
    handle = browser.driver.find_element("class name", "handle")
    width = browser.run("return document.querySelector('.layers').offsetWidth")
    chain = selenium.ActionChains(browser.driver)
    chain.drag_and_drop_by_offset(handle, round(width / 4), 0).perform()
    assert float(browser.run("return document.getElementsByName('cut')[0].value")) == pytest.approx(75, abs=0.5)
    assert browser.style("[data-view=after]", "clipPath").startswith("inset(0px 0px 0px 7")


def test_checkerboard_masks_the_moving_image(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "checker")
    assert browser.visible() == ["fixed", "after"]
    assert "conic-gradient" in browser.style("[data-view=after]", "maskImage")
    assert browser.style("[data-view=after]", "maskSize") == "25% 33.3333%"  # 8 x 6 squares, 4 x 3 tiles of four
    browser.set("squares", 16)
    assert browser.style("[data-view=after]", "maskSize") == "12.5% 16.6667%"


def test_flicker_alternates(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "flicker")
    browser.set("pace", 0.4)
    seen = browser.driver.execute_async_script(
        "const done = arguments[0], seen = new Set(), viewer = document.getElementById('viewer');"
        "const look = setInterval(() => seen.add(viewer.dataset.phase), 50);"
        "setTimeout(() => { clearInterval(look); done([...seen].sort()); }, 1200)"
    )
    assert seen == ["fixed", "moving"]
    browser.click("[name=play]")  # it is a pause now
    assert browser.visible("[name=play]") == ["Play"]


@pytest.mark.parametrize("moving", ["before", "after"])
def test_flicker_stands_still_where_motion_is_unwanted_and_turns_by_hand(
    browser: Browser, html_reports: dict[str, Path], moving: str
) -> None:
    browser.show(html_reports["ok"], media={"prefers-reduced-motion": "reduce"})
    browser.choose("mode", "flicker")
    browser.choose("moving", moving)
    assert browser.run("return document.getElementsByName('play')[0].ariaPressed") == "false"
    assert browser.visible() == ["fixed", moving]  # the moving image lies on the fixed one
    browser.click("[name=swap]")
    assert browser.visible() == ["fixed"]
    browser.click("[name=swap]")
    assert browser.visible() == ["fixed", moving]


def test_zoom_keeps_the_middle_and_scrolls_inside(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "overlay")
    middle = (
        "const s = document.querySelector('.scroll'), l = document.querySelector('.layers');"
        "return [(s.scrollLeft + s.clientWidth / 2) / l.offsetWidth, l.offsetWidth, document.body.scrollWidth]"
    )
    before = browser.run(middle)
    browser.set("zoom", 4)
    after = browser.run(middle)
    assert after[0] == pytest.approx(before[0], abs=0.01)
    assert after[1] == pytest.approx(4 * before[1], abs=4)
    assert after[2] <= 1200
    assert browser.style("[data-view=overlay-after] img", "imageRendering") == "pixelated"


def test_command_is_copied_or_selected(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.click("#copy")
    assert browser.run("return getSelection().toString()") == "zncc-align fixed.tif moving.tif"


def test_every_control_is_reached_by_the_keyboard(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "checker")
    reached = set()
    for _ in range(30):
        selenium.ActionChains(browser.driver).send_keys(selenium.Keys.TAB).perform()
        reached.add(browser.run("const e = document.activeElement; return e.name || e.id || e.tagName"))
    assert {"mode", "moving", "zoom", "squares", "A", "copy"} <= reached


@pytest.mark.parametrize(
    "name",
    [
        *("ok", "failed", "hostile", "batch", "movie", "hostile_movie"),
        *("rounds", "hostile_rounds", "check", "hostile_check"),
    ],
)
@pytest.mark.parametrize("script", [True, False])
def test_a_phone_does_not_scroll_sideways(
    browser: Browser, html_reports: dict[str, Path], name: str, script: bool
) -> None:
    browser.show(html_reports[name], width=360, script=script)
    assert browser.run("return document.documentElement.scrollWidth") == 360
    for mode in ("overlay", "slider", "flicker", "checker") if script and name in WITH_VIEWS else ():
        browser.choose("mode", mode)
        assert browser.run("return document.documentElement.scrollWidth") == 360


# The lowest contrast of any text with what lies behind it (WCAG 2.2, 1.4.3), and where.
CONTRAST = """
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
let worst = [99, ""];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, option")) continue;
  const style = getComputedStyle(element);
  let behind = element;
  while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) < 0.5) behind = behind.parentElement;
  const ground = parse(getComputedStyle(behind || document.body).backgroundColor);
  const [dark, light] = [luminance(parse(element.closest("svg") ? style.fill : style.color)), luminance(ground)]
    .sort((a, b) => a - b);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < worst[0]) worst = [ratio, element.outerHTML.slice(0, 99)];
}
return worst;
"""


@pytest.mark.parametrize("name", ["ok", "failed", "batch", "movie", "rounds", "check"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, html_reports: dict[str, Path], name: str, scheme: str) -> None:
    browser.show(html_reports[name], media={"prefers-color-scheme": scheme})
    red = int(browser.style("body", "backgroundColor")[4:].split(",")[0])
    assert red > 230 if scheme == "light" else red < 40
    contrast, where = browser.run(CONTRAST)
    assert contrast >= 4.5, where


def test_without_a_script_all_pictures_are_there_and_no_controls(
    browser: Browser, html_reports: dict[str, Path]
) -> None:
    browser.show(html_reports["ok"], script=False)
    assert browser.visible() == ["overlay-before", "overlay-after", "fixed", "before", "after"]
    assert browser.visible("form, #copy") == []
    assert len(browser.visible(".card")) == 7
    assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_on_paper_all_pictures_are_there_and_no_controls(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["ok"])
    browser.choose("mode", "slider")
    browser.command("Emulation.setEmulatedMedia", media="print")
    assert browser.visible() == ["overlay-before", "overlay-after", "fixed", "before", "after"]
    assert browser.visible("form") == []
    assert browser.style("[data-view=after]", "clipPath") == "none"


def test_names_that_are_markup_do_nothing(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["hostile"])
    assert browser.run("return document.images.length") == 10
    assert HOSTILE[:30] in browser.run("return document.querySelector('.reasons').textContent")


def test_style_and_script_that_are_not_the_html_reports_own_are_refused(
    browser: Browser, html_reports: dict[str, Path]
) -> None:
    browser.show(html_reports["ok"])
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s);"
        "const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i)"
    )
    assert browser.run("return window.broken") is None
    refused = [line for line in browser.complaints() if "Content Security Policy" in line]
    assert len(refused) == 2


def test_batch_is_filtered_by_status_and_by_name(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["batch"])
    every = browser.visible(".pair bdi")
    assert every == ["failed_0", "failed_1", "failed_2", *(f"{n}_{i}" for i in range(3) for n in ("hostile", "ok"))]
    browser.click("button[data-status=failed]")
    assert browser.visible(".pair bdi") == every[:3]
    assert browser.visible("#shown") == ["3 of 9 shown"]
    browser.click("button[data-status=failed]")
    assert browser.visible(".pair bdi") == every
    browser.driver.find_element("id", "find").send_keys("OK_1")
    assert browser.visible(".pair bdi") == ["ok_1"]
    browser.click(".pair:not([hidden]) a")
    assert browser.driver.current_url.endswith("/ok.html")


def test_one_of_a_thousand_pairs_is_found_by_name(browser: Browser, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (80, 160, 3)).astype(np.uint8)
    rows = [
        BatchHtmlRow(name=f"pair_{i:04}", status="ok", reason="the images agree", thumbnail=picture)
        for i in range(1000)
    ]
    write_batch_html(tmp_path / "batch.html", rows)
    browser.show(tmp_path / "batch.html")
    browser.driver.find_element("id", "find").send_keys("0999")
    assert browser.visible(".pair bdi") == ["pair_0999"]


def shown_frames(browser: Browser) -> list[int]:
    """Which frame each screen of a movie shows, by the place of its picture."""
    return browser.run(
        "return [...document.querySelectorAll('.screen')].map(e => "
        "-Number(e.querySelector('image').getAttribute('y') || 0) / e.viewBox.baseVal.height)"
    )


def test_both_loops_of_a_movie_show_the_frame_that_is_chosen(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["movie"], media={"prefers-reduced-motion": "reduce"})
    assert shown_frames(browser) == [0, 0]
    assert browser.visible("[name=play]") == ["Play"]
    browser.set("position", 15)
    assert shown_frames(browser) == [15, 15]
    words = browser.run("return document.querySelector('.now').textContent").split()
    assert words == ["Frame", "15", "of", "0", "to", "23", "outlier"]
    assert browser.style(".now .mark", "color") != browser.style(".now", "color")
    browser.click("[name=play]")
    WebDriverWait(browser.driver, 30).until(lambda _: shown_frames(browser)[0] not in (0, 15))
    assert browser.visible("[name=play]") == ["Pause"]
    browser.click("[name=play]")
    stopped = shown_frames(browser)
    assert stopped[0] == stopped[1]


def test_a_movie_plays_at_once_unless_that_is_not_wanted(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["movie"])
    WebDriverWait(browser.driver, 30).until(lambda _: shown_frames(browser)[0] > 0)
    assert browser.visible("[name=play]") == ["Pause"]


def test_without_a_script_a_movie_shows_its_first_frames(browser: Browser, html_reports: dict[str, Path]) -> None:
    browser.show(html_reports["movie"], script=False)
    assert browser.driver.find_element("css selector", "#film form").is_displayed() is False
    assert len(browser.driver.find_elements("css selector", ".screen")) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "narrow"), [(390, True), (1200, False)])
def test_the_drift_plot_fits_the_screen(
    browser: Browser, html_reports: dict[str, Path], width: int, narrow: bool, scheme: str
) -> None:
    browser.show(html_reports["movie"], width=width, media={"prefers-color-scheme": scheme})
    sizes = browser.run(
        "return [...document.querySelectorAll('.plot')].map(e => [e.naturalWidth, e.naturalHeight, e.width])"
    )
    assert all(0 < shown_width <= width for _, _, shown_width in sizes)
    assert (sizes[0][0] < sizes[0][1]) == narrow
    sources = browser.run("return [...document.querySelectorAll('.plot')].map(e => e.currentSrc)")
    assert len(set(sources)) == 2
