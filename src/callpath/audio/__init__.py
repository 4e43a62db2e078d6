"""Bytes in, bytes out: the audio of a call, with no clock, no socket and no state but its own.

codec     what a payload is, and the table of encodings   (start here)
g711, g722, l16, opus, amrwb   one codec each; `ffmpeg` is what three of them stand on, `conceal` fills gaps
framer, jitter   carry audio out and in: frames of one ptime; arrivals back in order
pcm       a mono int16 array; its rate stands beside it
resample  changes the rate on the live path
wav       reads and writes files
level     how loud it is, and which encoding it really is
beep      the end of an answering machine's greeting, by its sound
tone      makes tones and finds them again `peaks.py`: the outline of a recording.
"""
