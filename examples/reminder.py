"""Calls people and reminds them; a voicemail gets the message after its beep.

Run it with `callpath serve examples.reminder:app`; it needs TELNYX_CONNECTION_ID and CALLPATH_DIAL_FROM.
"""

import asyncio
from collections.abc import AsyncIterator

from callpath import App, Call

app = App()
PEOPLE = {"+15555550155": "Ada"}


@app.call
async def remind(call: Call) -> None:
    if await call.detected(within_s=4) == "machine":
        await call.beep()
    await call.speak(f"Hello {call.variables['name']}: your appointment is tomorrow at ten.")


@app.lifespan
async def campaign(app: App) -> AsyncIterator[None]:
    async def ring() -> None:
        for number, name in PEOPLE.items():
            outcome = await app.dial(number, handler=remind, detect="premium", variables={"name": name}, key=number)
            print(f"{name}: {outcome.status}")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ring())
        yield
        task.cancel()
