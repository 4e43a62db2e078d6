"""The pages in a real browser: what a person does, step by step. Skipped where there is no Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from callpath.audio.resample import resample_file_audio
from callpath.audio.wav import read_wav, read_wav_sides
from callpath.server.builtin import BUILTIN
from callpath.simulator.callee import Callee
from callpath.simulator.simulator import Simulator, hello_wav
from callpath.store.sql import open_call_log
from tests.dashboard.browsing import dashboard_server
from tests.dashboard.calls import HOST, TOKEN, accepted_call, entries, failed_call, good_call
from tests.dashboard.test_phone import LIKENESS_MIN, likeness

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    f"--use-file-for-fake-audio-capture={hello_wav()}",
]

WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.violatedDirective + " " + event.blockedURI);
});
"""


FAINT_TEXTS = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] > 240) return colour;
    }
    return [255, 255, 255];
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = new Set();
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.textContent.trim();
    if (!text || element.closest("svg, noscript, script, .hidden, :disabled, option")) continue;
    if (!element.checkVisibility()) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.add(`${text.slice(0, 40)} (${ratio.toFixed(2)})`);
  }
  return [...found];
}
"""


@dataclass
class Visit:
    """One page of one browser. `troubles` must be empty at the end: errors, other hosts, broken policies."""

    page: Any
    url: str
    data_dir: Path
    troubles: list[str] = field(default_factory=list)

    async def go(self, path: str = "/") -> None:
        await self.page.goto(self.url + path)

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).first.wait_for()

    async def append(self, session: str, whats: Any, at: int | None = None) -> None:
        """As another process writes: a call log of its own on the same file."""
        async with open_call_log(f"sqlite:///{self.data_dir / 'callpath.db'}") as log:
            for entry in entries(session, whats) if at is None else entries(session, whats, at):
                await log.append(entry)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for all tests here, so that they can share a browser."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(browser: Any, data_dir: Path, **settings: Any) -> AsyncIterator[Visit]:
    """A server without an account, and a visitor who has never been there."""
    async with dashboard_server(BUILTIN["echo"](), data_dir, **settings) as url:
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        await context.add_init_script(WATCH_POLICY)
        page = await context.new_page()
        it = Visit(page, url, data_dir)
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: it.troubles.append(f"error: {error}"))
        page.on("request", lambda request: _note_host(it, request.url))
        try:
            yield it
            it.troubles += await page.evaluate("window.violations")
        finally:
            await context.close()
    assert [] == it.troubles


def _note_host(it: Visit, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(it.url).netloc:
        it.troubles.append(f"another host: {url}")


async def test_a_first_call_is_a_click_away_and_its_echo_comes_back(browser: Any, tmp_path: Path) -> None:
    """No account, no phone: from the empty list to one's own voice, heard again. Proved by what was recorded."""
    async with visiting(browser, tmp_path) as it:
        page = it.page
        await it.go()
        await it.sees("No calls yet")
        await page.get_by_role("link", name="Place a first call").click()
        await page.get_by_label("Cancel the loudspeaker’s echo").uncheck()
        await page.get_by_role("button", name="Call", exact=True).click()
        await page.locator("[data-phone=talking]").wait_for()
        await page.locator("meter.bot").wait_for()
        await page.get_by_text("your own voice").wait_for()
        await page.locator(".screen").get_by_text(re.compile(r"^([3-9]\.\d|\d\d) s$")).wait_for()
        await page.get_by_role("button", name="5", exact=True).click()
        await it.sees("Key pressed")
        await page.get_by_role("button", name="Hang up").click()
        await page.locator("[data-phone=ended]").wait_for()
        await page.get_by_role("link", name="See the call").click()
        await it.sees("Audio flowed both ways.")
        await page.get_by_role("button", name="Recording saved").last.wait_for()
        await page.get_by_role("button", name="Play", exact=True).wait_for()
        await page.locator(".wave").wait_for()
        reached = await page.locator(".stages li.reached").count()
        (recording,) = (tmp_path / "recordings").glob("*.wav")
    (caller, bot), rate_hz = read_wav_sides(recording)
    voice, voice_rate_hz = read_wav(hello_wav())
    voice = resample_file_audio(voice, voice_rate_hz, rate_hz)

    assert 8 == reached
    assert likeness(caller, np.tile(voice, 3), rate_hz) > LIKENESS_MIN  # Chromium repeats the file
    assert likeness(caller, bot, rate_hz) > LIKENESS_MIN


async def test_a_failed_call_leads_to_its_verdict(browser: Any, tmp_path: Path) -> None:
    """From the list to the stage that is missing, then layer by layer to the cause, and a file to share."""
    async with visiting(browser, tmp_path, public_url=f"http://{HOST}") as it:
        page = it.page
        await it.append("failed-call", failed_call("+4930123456", "failed-call"))
        await it.append("good-call", good_call())
        await it.go("/?outcome=failed")
        word = page.locator("tr.failed .word code")
        code = await word.inner_text()
        await word.click()
        await it.sees("Stage 5 of 8")
        await page.locator(".verdict-box .meta").get_by_text(code).first.wait_for()
        await page.get_by_text("never came: WebSocket connection received").wait_for()
        await page.get_by_role("button", name="Probe this call").click()
        await page.locator(".probe-steps .failed").wait_for()
        await page.locator(".probe .verdict-box h3").wait_for()
        verdict = await page.locator(".probe .verdict-box .meta code").inner_text()
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Report to share").click()
        shared = Path(await (await waiting.value).path()).read_text()
        await page.get_by_role("button", name="Webhook streaming.failed").last.click()
        body = await page.locator("pre.json").first.inner_text()

        assert "connection_failed" in body
        assert verdict in shared
        assert "4930123456" not in body + shared + await page.content()


async def test_the_account_is_checked_by_a_button(browser: Any, tmp_path: Path) -> None:
    """Without a key it says which setting is missing; with one, each thing that is set wrong, and its fix."""
    async with visiting(browser, tmp_path / "a") as it:
        await it.go("/doctor")
        await it.page.get_by_role("button", name="Check the account").click()
        await it.page.get_by_role("alert").get_by_text("TELNYX_API_KEY is missing").wait_for()
    async with Simulator("https://calls.example.com/api/calls/webhook") as telnyx:
        telnyx.account.application["webhook_api_version"] = "1"
        telnyx.account.balance["available_credit"] = "-1"
        account = {"telnyx_api_key": telnyx.api_key, "telnyx_api_base": telnyx.api_base}
        async with visiting(browser, tmp_path / "b", **account) as it:
            await it.go("/doctor")
            await it.page.get_by_role("button", name="Check the account").click()
            await it.page.get_by_text("2 problems in the account settings").wait_for()

            assert 2 == await it.page.locator(".verdict-box .fix pre").count()


async def test_calls_appear_and_change_as_they_happen(browser: Any, tmp_path: Path) -> None:
    """Whichever process takes them; without a reload. The call's own page grows as well."""
    async with visiting(browser, tmp_path) as it:
        page = it.page
        await it.go()
        await it.sees("No calls yet")
        await it.append("call-1", accepted_call())
        await page.get_by_role("row", name="Answered").wait_for()
        await page.get_by_role("row", name="Answered").click()
        await page.locator(".badge.live").first.wait_for()
        await it.append("call-1", good_call()[len(accepted_call()) :])
        await it.sees("Audio flowed both ways.")
        await page.get_by_role("link", name="All calls", exact=True).click()
        await page.get_by_role("row", name="Good").wait_for()
        await page.locator("tr.good .word code").wait_for()


async def test_a_list_is_worked_by_keyboard_and_taken_away(browser: Any, tmp_path: Path) -> None:
    """`/`, `j`, `k`, Enter, `?`; a search; and the same calls as a file."""
    async with visiting(browser, tmp_path) as it:
        page = it.page
        for number in range(3):
            await it.append(f"call-{number}", good_call(f"+1555555010{number}"), 1_767_323_045_000 + 1000 * number)
        await it.go()
        await page.get_by_role("row", name="Good").nth(2).wait_for()
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("k")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/calls/call-2")
        await page.go_back()
        await page.keyboard.press("?")
        await page.get_by_role("dialog").get_by_text("Next call").wait_for()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await page.keyboard.type("15555550101", delay=60)  # as fast as people type, past the pause before a search
        await page.get_by_text("1 call, that is all of them.").wait_for()
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="CSV").click()
        lines = Path(await (await waiting.value).path()).read_text().splitlines()
        await page.keyboard.press("Escape")
        await page.keyboard.press("t")
        dark = await page.locator("html[data-theme=dark]").count()

        assert ["session", "call-1"] == [line.split(",")[0] for line in lines]
        assert 1 == dark


async def test_a_visitor_without_the_token_sees_nothing(browser: Any, tmp_path: Path) -> None:
    """A form, a word on a wrong token, and then the page that was asked for."""
    async with visiting(browser, tmp_path, dashboard_token=TOKEN) as it:
        page = it.page
        await it.append("call-1", good_call())
        await it.go("/calls/call-1")
        await page.get_by_label("Dashboard token").fill("wrong")
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("alert").get_by_text("that is not the token").wait_for()
        before = await page.content()
        await page.get_by_label("Dashboard token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await it.sees("Audio flowed both ways.")
        await it.go("/setup")
        await page.locator("[data-step=public-key][data-state=missing]").wait_for()
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_label("Dashboard token").wait_for()

        assert "+1555" not in before


async def test_who_is_logged_in_calls_a_real_phone(browser: Any, tmp_path: Path) -> None:
    """From the order to the outcome, a hang-up, and a refusal with what to do about it."""
    busy, refused = "+15555550102", "+15555550103"
    async with Simulator() as telnyx:
        telnyx.set_callee_of(busy, Callee(rejects="user_busy"))
        telnyx.set_callee_of(refused, Callee(refused="D17"))
        settings = {
            "telnyx_api_key": telnyx.api_key,
            "telnyx_public_key": telnyx.public_key,
            "telnyx_api_base": telnyx.api_base,
            "telnyx_connection_id": telnyx.options.connection_id,
            "dial_from": "+15555550100",
            "dial_allow": "+1",
            "dashboard_token": TOKEN,
        }
        async with visiting(browser, tmp_path, **settings) as it:
            telnyx.webhook_url = f"{it.url}/api/calls/webhook"
            page = it.page
            await it.go("/phone")
            await page.get_by_label("Dashboard token").fill(TOKEN)
            await page.keyboard.press("Enter")
            card = page.get_by_label("Call a real phone")

            async def call(number: str) -> None:
                await card.get_by_label("Number").fill(number)
                await card.get_by_role("button", name="Call").click()

            await call("+15555550155")
            await card.locator("[data-dial=answered]").wait_for()
            await card.get_by_role("button", name="Hang up").click()
            await card.get_by_text("the call is over").wait_for()
            await call(busy)
            await card.get_by_text("The line is busy").wait_for()
            await call(refused)
            await card.get_by_role("alert").get_by_text("D17").wait_for()
            refusal = await card.get_by_role("alert").inner_text()
            await call("+18765550123")
            await card.get_by_role("alert").get_by_text("+1876").wait_for()
            made = [caller.call.leg.to for caller in telnyx.calls]

    assert made == ["+15555550155", busy]
    assert "money" in refusal


async def test_the_page_says_what_is_missing_before_a_phone_can_be_called(browser: Any, tmp_path: Path) -> None:
    """Nobody dials without a login and an allow-list."""
    async with visiting(browser, tmp_path) as it:
        await it.go("/phone")
        card = it.page.get_by_label("Call a real phone")
        await card.get_by_text("CALLPATH_DIAL_ALLOW, CALLPATH_DASHBOARD_TOKEN").wait_for()
        buttons = await card.get_by_role("button").count()

    assert buttons == 0


async def test_no_page_is_wider_than_a_phone(browser: Any, tmp_path: Path) -> None:
    """Sideways scrolling hides half of everything."""
    async with visiting(browser, tmp_path) as it:
        await it.append("good-call", good_call())
        await it.append("failed-call", failed_call())
        wide = []
        for path in ("/", "/calls/good-call", "/calls/failed-call", "/phone", "/doctor", "/setup"):
            await it.go(path)
            for width in (360, 768):
                await it.page.set_viewport_size({"width": width, "height": 780})
                await it.page.locator("h1").wait_for(state="attached")
                if await it.page.evaluate("document.documentElement.scrollWidth") > width:
                    wide.append((path, width))

        assert [] == wide


async def test_words_can_be_read_in_both_themes(browser: Any, tmp_path: Path) -> None:
    """WCAG AA: 4.5 to 1 between each text and what it stands on."""
    async with visiting(browser, tmp_path) as it:
        await it.append("good-call", good_call())
        await it.append("failed-call", failed_call())
        faint = []
        for path in ("/", "/calls/good-call", "/calls/failed-call", "/phone", "/setup"):
            for theme in ("light", "dark"):
                await it.page.emulate_media(color_scheme=theme)
                await it.go(path)
                await it.page.locator("h1").wait_for(state="attached")
                await it.page.locator(".loading").wait_for(state="detached")
                faint += [(path, theme, text) for text in await it.page.evaluate(FAINT_TEXTS)]

        assert [] == faint
