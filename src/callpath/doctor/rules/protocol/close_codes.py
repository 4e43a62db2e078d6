"""How the server ended the stream: one row a close code, or a few that mean the same."""

from callpath.doctor.closings import closed_with
from callpath.doctor.rule import Cause
from callpath.doctor.rules.sample import ended, media

CAUSES = tuple(
    Cause.of(
        "url", closed_with(words), code=code, slug=slug, title=title, owner="you", why=why, fix=fix,
        named={f"{number}": media(ending=ended(code=number)) for number in words},
        quiet={"1000": media(ending=ended(code=1000))},
    )
    for code, slug, title, words, why, fix in (
        (
            "CLOSE004", "message-too-big-1009", "The server's message limit is below a frame's size",
            {1009: "a message is too big for it"},
            "A start frame has about 600 bytes, 20 ms of PCMU 340, of L16 at 24 kHz 1.4 KB; larger packets exist.",
            "Allow 1 MiB: ws maxPayload, websockets max_size, uvicorn --ws-max-size.",
        ),
        (
            "CLOSE007", "ws-refuses-frames", "The server refuses the carrier's frames",
            {
                1002: "it sees a breach of the WebSocket protocol (what a proxy changed on the way may cause it)",
                1003: "it takes no text messages; every frame of a carrier is a text",
                1007: "it finds the content inconsistent",
            },
            "The handler expects other messages (binary ones, another schema) than the JSON texts that a carrier "
            "sends.",
            "Read texts and parse them as JSON: event, start, media.payload in base64.",
        ),
    )
)  # fmt: skip
"""1001 and 1012 (CLOSE005), 1008 (CLOSE001), 1011 (CLOSE002) and 1013 (CLOSE008): signs of causes that others show, too."""
