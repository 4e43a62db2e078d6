"""Makes the pictures of docs/howto/use-the-dashboard.md: `make screenshots` (needs Chromium).

Real calls of the browser phone with the recorded hello as microphone, on a server without an account.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from callpath.server.builtin import BUILTIN
from tests.dashboard.browsing import dashboard_server
from tests.dashboard.test_browser import CHROMIUM, FLAGS

IMAGES = Path(__file__).parents[2] / "docs" / "howto" / "images"


async def phone_call(page: Any, url: str, codec: str, seconds: int, fault: str = "") -> None:
    await page.goto(f"{url}/phone")
    await page.get_by_label("Cancel the loudspeaker’s echo").uncheck()
    await page.get_by_label("Codec of the phone").select_option(codec)
    if fault:
        await page.get_by_label("Fault").select_option(fault)
    await page.get_by_role("button", name="Call", exact=True).click()
    if fault:
        await page.locator("[data-phone=ringing]").wait_for()
        await page.get_by_text("Webhook streaming.failed").wait_for()
    else:
        await page.locator("[data-phone=talking]").wait_for()
        await page.locator(".screen").get_by_text(re.compile(rf"^([{seconds}-9]\.\d|\d\d) s$")).wait_for()
        await page.get_by_role("button", name="5", exact=True).click()
        await page.get_by_text("your own voice").wait_for()


async def hang_up(page: Any) -> None:
    await page.get_by_role("button", name="Hang up").click()
    await page.locator("[data-phone=ended]").wait_for()


async def picture(page: Any, name: str) -> None:
    await page.wait_for_timeout(700)
    await page.screenshot(path=IMAGES / f"{name}.png", full_page=True)


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with dashboard_server(BUILTIN["echo"](), Path(folder)) as url, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = await browser.new_page(viewport={"width": 1180, "height": 760})
            for codec in ("PCMU", "OPUS", "PCMA"):
                await phone_call(page, url, codec, 2)
                await hang_up(page)
            await phone_call(page, url, "PCMU", 1, fault="connects_elsewhere")
            await page.locator("[data-phone=ended]").wait_for()  # the server gives up after its second try
            await page.get_by_role("link", name="See the call").click()
            await page.locator(".verdict-box h3").first.wait_for()
            await picture(page, "failed-call")
            await page.reload()
            await phone_call(page, url, "G722", 4)
            await picture(page, "phone")
            await hang_up(page)
            await page.get_by_role("link", name="See the call").click()
            await page.locator(".wave").wait_for()
            await picture(page, "call")
            await page.goto(url)
            await page.get_by_role("row", name="Failed").wait_for()
            await picture(page, "calls")
            await page.emulate_media(color_scheme="dark")
            await page.goto(f"{url}/setup")
            await page.locator("[data-step=key]").wait_for()
            await picture(page, "setup")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
