"""Calls at night are forwarded, suspicious ones rejected, the others answered and recorded; a fault says sorry.

Run it with `callpath serve examples.office_hours:app`.
"""

from datetime import UTC, datetime

from callpath import Answer, App, Call, Forward, Reject, Ring

app = App()
NIGHT, PERSON = "+15555550142", "+15555550143"


@app.incoming
async def decide(ring: Ring) -> Answer | Forward | Reject:
    if ring.attestation == "C":
        return Reject("rejected")
    if not 8 <= datetime.now(UTC).hour < 18:
        return Forward(NIGHT, ring_s=25)
    return Answer(record=True)


@app.call
async def reception(call: Call) -> None:
    name = call.headers.get("X-Customer-Name", "")
    await call.speak(f"Hello {name}. This call is recorded.")
    if not await call.transfer(PERSON, ring_s=30, detect="premium"):
        await call.speak("Nobody is there. Please call again.")


@app.on_error
async def sorry(call: Call, _error: BaseException) -> None:
    await call.speak("Sorry, something went wrong.")
    await call.transfer(NIGHT)
