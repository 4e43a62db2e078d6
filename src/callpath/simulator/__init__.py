"""A Telnyx simulator for any program that speaks to Telnyx: Call Control API, signed webhooks, media WebSocket.

Start at `simulator.Simulator`. Pure, with a manual clock in tests: `carrier` (one media stream), `call` (one leg), and
of a leg `sound` (what Telnyx plays), `line` (what its party says, and what else it hears), `callee` (who is at a dialled
number), `detection` (of answering machines), `gather`, `recording` and `notices` (where its webhooks go); `conference`
(legs that hear each other), `relay` (a Conversation Relay), `queue`; `refusal` (which bodies are taken, by the types of
`wire` and of `fields`); faults of the media in `link`, of webhooks and API in `control_faults`. Shells: `api` (HTTP),
`sender` (webhooks), `texml`, `caller` (the phone), `relay_socket`; `account` (how the account is set, and all that can be
asked). Whatever Telnyx leaves unknown is a field of
`options.CarrierOptions`.

On top: `seen` (what happened in a call: facts), `ear` (what a caller could tell of the sound; pure), `verdict` (how the
call went, in one sentence, from both; pure), `speech` (what the caller says), `figures` and `scenario` (calls written down,
and what must come of them), `load` (hundreds at once), `panel` (own page and control API), `blocking` (all of it without
asyncio). Beside it `railway`: the API of a host, for the doctor.
"""
