"""A stand-in Telnyx for any program that speaks to Telnyx: Call Control API, signed webhooks, media WebSocket.

Start at `simulator.Simulator`. Pure, with a manual clock in tests: `carrier` (one media stream), `call` (one leg),
`refusal` (which bodies are taken), `link` (faults). Shells: `api` (HTTP), `sender` (webhooks), `caller` (the phone);
`diagnosis` (how the account is set, and all that can be asked). Whatever Telnyx leaves unknown is a field of
`options.CarrierOptions`. Beside it `railway`: the API of a host, for the doctor.
"""
