"""A stand-in Telnyx for any program that speaks to Telnyx: Call Control API, signed webhooks, media WebSocket.

Start at `simulator.Simulator`. Pure, with a manual clock in tests: `carrier` (one media stream), `call` (one leg),
`refusal` (which bodies are taken), `link` (faults). Shells: `api` (HTTP), `sender` (webhooks), `caller` (the phone).
Whatever Telnyx leaves unknown is a field of `options.CarrierOptions`.

On top: `ear` (what a caller could tell of a call; pure), `speech` (what he says), `figures` and `scenario` (calls written
down, and what must come of them), `load` (hundreds at once), `panel` (own page and control API), `blocking` (all of it
without asyncio).
"""
