"""Section 12: frames flow, and they sound wrong."""

from __future__ import annotations

from tests.lab.case import UNDECIDED, WITHHELD, Cases
from tests.lab.cases import protocol

CASES = Cases()


def sound(name: str, *slugs: str, why: str, handler: str, options: tuple[str, ...] = ()) -> None:
    protocol.app(name, *slugs, why=why, handler=handler, options=options)
    CASES.append(protocol.CASES.pop())


PCM16 = "codec-pcm16-sent-as-ulaw"
RATE = "sample-rate-mismatch"
sound("sound-pcm16-echo", PCM16, why="Decoded and never encoded again: 320 bytes for 160.", handler="sound-pcm16")
sound("sound-pcm16-speech", PCM16, why="The AI's 16-bit speech into a PCMU stream.", handler="sound-pcm16-speech")
sound("sound-pcm24k", PCM16, RATE, why="16 bits at 24 kHz, as realtime models speak.", handler="sound-pcm24k")
sound("sound-alaw-echo", "codec-alaw-as-ulaw", why="A-law comes back on a PCMU stream.", handler="sound-alaw")
sound("sound-alaw-speech", "codec-alaw-as-ulaw", why="Speech in A-law on a PCMU stream.", handler="sound-alaw-speech")
sound(
    "sound-ulaw-on-alaw-call",
    "codec-alaw-as-ulaw",
    why="mu-law speech on a call that carries PCMA.",
    handler="sound-ulaw-speech",
    options=("--codec", "PCMA"),
)
sound("sound-ulaw-24k", RATE, why="480 bytes of mu-law every 20 ms.", handler="sound-ulaw-24k")
sound("sound-ulaw-16k", RATE, why="320 bytes of mu-law every 20 ms: 16 kHz as 8 kHz.", handler="sound-ulaw-16k")
sound(
    "sound-wav",
    "codec-container-sent",
    PCM16,
    why="A WAV file cut into frames, header first.",
    handler="sound-wav",
)
sound("sound-rtp", "rtp-header-sent", why="Whole RTP packets: 12 bytes before each frame.", handler="sound-rtp")
sound(
    "sound-mp3",
    "codec-container-sent",
    "mp3-mode-rate-limit",
    UNDECIDED,
    why="MP3 into a PCMU stream.",
    handler="sound-mp3",
)
sound("sound-silence-ff", WITHHELD + "sends-silence", why="0xFF only: mu-law's silence.", handler="sound-silence-ff")
sound("sound-silence-7f", WITHHELD + "sends-silence", why="0x7F only, its other zero.", handler="sound-silence-7f")
sound("sound-zero-bytes", "sends-silence", why="Zero bytes only.", handler="sound-zero-bytes")
sound(
    "sound-empty",
    "sends-silence",
    "outbound-envelope-wrong",
    UNDECIDED,
    why="Payloads of no bytes.",
    handler="sound-empty",
)
