"""What a peer does with one frame: the text that came in, the text that goes back.

As a user writes it: json, base64, and the standard library's C code for PCMU (audioop, before Python 3.13).
RATE_HZ=16000 takes the audio to that rate and back on the way, by soxr's stream resampler, as Pipecat does.
"""

import audioop
import base64
import json
import os

RATE_HZ = int(os.environ.get("RATE_HZ", "8000"))

if RATE_HZ != 8000:
    import numpy as np
    import soxr


class Call:
    def __init__(self):
        if RATE_HZ != 8000:
            self.up = soxr.ResampleStream(8000, RATE_HZ, 1, dtype="int16", quality="HQ")
            self.down = soxr.ResampleStream(RATE_HZ, 8000, 1, dtype="int16", quality="HQ")

    def reply(self, text):
        message = json.loads(text)
        if message["event"] != "media":
            return None
        pcm = audioop.ulaw2lin(base64.b64decode(message["media"]["payload"]), 2)
        if RATE_HZ != 8000:
            wide = self.up.resample_chunk(np.frombuffer(pcm, np.int16))
            pcm = self.down.resample_chunk(wide).tobytes()
            if not pcm:
                return None
        payload = base64.b64encode(audioop.lin2ulaw(pcm, 2)).decode()
        return json.dumps({"event": "media", "media": {"payload": payload}})
