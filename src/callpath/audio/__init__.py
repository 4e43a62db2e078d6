"""Bytes in, bytes out: the audio of a call, with no clock, no socket and no state but its own.

Start at `codec.py` (what a payload is, and the table of encodings); `framer.py` and `jitter.py` carry it in and out.
PCM is a mono int16 array; its rate stands beside it. `resample.py` changes the rate, `wav.py` reads and writes files.
Looking at audio: `level.py` (how loud, and which encoding it really is), `tone.py` (make tones, find them again).
"""
