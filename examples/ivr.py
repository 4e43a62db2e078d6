"""A menu: 1 for sales, 2 to leave a message. Run it with `callpath serve examples.ivr:app`."""

from callpath import App, Call
from callpath.audio.tone import tone

app = App()
MENU = "Welcome to Acme. Press 1 for sales, 2 to leave a message."
SALES = "+15555550777"


@app.call
async def menu(call: Call) -> None:
    for _ in range(3):
        keys = await call.gather(say=MENU, timeout_s=5, valid_digits="12")
        if keys.digits == "1":
            if await call.transfer(SALES, ring_s=20):
                return
            await call.speak("Nobody is free at the moment.")
        elif keys.digits == "2":
            await call.play(tone(1000, duration_ms=400))
            call.record()
            await call.gather(timeout_s=60)  # any key ends the message
            await call.speak("Thank you. Goodbye.")
            return
    await call.speak("Goodbye.")
