"""The one place that touches PyAV (FFmpeg's codecs), which is the extra `codecs`: imported when a codec needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.wav import read_wav_sides
from callpath.errors import AudioError

if TYPE_CHECKING:
    from av import AudioCodecContext


class FfmpegDecoder:
    """One of FFmpeg's decoders that give mono int16, fed payload by payload."""

    def __init__(self, encoding: str, library_codec: str, sample_rate_hz: int) -> None:
        self._encoding = encoding
        self._context = _open(encoding, library_codec, "r", sample_rate_hz, {})

    def decode(self, payload: bytes) -> Pcm:
        """The audio of one payload. Raises AudioError on bytes that the decoder refuses; it may be used on."""
        if not payload:  # an empty packet would tell FFmpeg that the stream is over, for good
            return np.zeros(0, np.int16)
        from av import FFmpegError, Packet

        try:
            frames = self._context.decode(Packet(payload))
        except FFmpegError as error:
            raise AudioError(
                f"a payload of {len(payload)} bytes is not {self._encoding}: {error.strerror}. "
                "The stream probably carries another encoding; see start.media_format"
            ) from error
        parts = [frame.to_ndarray()[0] for frame in frames]
        if len(parts) == 1:
            return np.asarray(parts[0], np.int16)
        return np.concatenate([np.zeros(0, np.int16), *parts])


class FfmpegEncoder:
    """One of FFmpeg's encoders that take mono int16, in frames of `frame_samples`: what is not a whole number of them
    would stay inside and shift all that follows, so it is refused."""

    def __init__(
        self,
        encoding: str,
        library_codec: str,
        sample_rate_hz: int,
        frame_samples: int,
        options: dict[str, str],
    ) -> None:
        self._encoding = encoding
        self._rate_hz = sample_rate_hz
        self._frame_samples = frame_samples
        self._context = _open(encoding, library_codec, "w", sample_rate_hz, options)

    def encode(self, pcm: Pcm) -> list[bytes]:
        """One packet for each frame in `pcm`."""
        if pcm.size == 0:
            return []
        if pcm.size % self._frame_samples:
            raise AudioError(
                f"{self._encoding} is made of frames of {self._frame_samples} samples; got {pcm.size}. "
                "Cut the audio with a Framer"
            )
        from av import AudioFrame

        frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._rate_hz
        return [bytes(packet) for packet in self._context.encode(frame)]


Form = Literal["flac", "opus"]
"""How a recording can be kept: FLAC holds every sample in about half the space, Opus sounds the same in a sixteenth."""

OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
"""What libopus takes."""
OPUS_BITS_PER_SECOND_A_SIDE = 24_000
"""Speech is transparent from here on; telephone speech sooner."""


def compress_recording(path: Path | str, form: Form) -> Path:
    """Write a recording anew, as FLAC or Opus, beside the WAV and with its name; the WAV stays. Returns where.

    Takes the 16-bit WAV that `Call.record` writes, finished or not. The new file appears when it is whole; one that is
    there already is replaced. Raises AudioError for anything else, or when the extra `codecs` is not installed.
    """
    source = Path(path)
    sides, rate_hz = read_wav_sides(source)
    if not sides[0].size:
        raise AudioError(f"{source.name} holds no audio")
    if form == "opus" and rate_hz not in OPUS_RATES_HZ:
        sides = [resample_file_audio(side, rate_hz, OPUS_RATES_HZ[-1]) for side in sides]
        rate_hz = OPUS_RATES_HZ[-1]
    try:
        import av
    except ImportError as error:
        raise AudioError(f"{form} needs FFmpeg's codecs: pip install 'callpath[codecs]'") from error
    target = source.with_suffix(f".{form}")
    unfinished = source.with_suffix(f".{form}.part")
    layout = "mono" if len(sides) == 1 else "stereo"
    options = {"b": str(OPUS_BITS_PER_SECOND_A_SIDE * len(sides))} if form == "opus" else {}
    try:
        with av.open(str(unfinished), "w", format="flac" if form == "flac" else "ogg") as container:
            codec: Literal["flac", "libopus"] = "flac" if form == "flac" else "libopus"
            stream = container.add_stream(codec, rate=rate_hz, options=options, layout=layout)
            for start in range(0, sides[0].size, rate_hz):  # by the second: hours need not fit twice into memory
                piece = np.stack([side[start : start + rate_hz] for side in sides], axis=1).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
                frame.sample_rate, frame.pts = rate_hz, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        unfinished.replace(target)
    except (av.FFmpegError, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise AudioError(f"{target.name} cannot be written: {error.strerror}") from error
    return target


def _open(
    encoding: str, library_codec: str, mode: Literal["r", "w"], sample_rate_hz: int, options: dict[str, str]
) -> AudioCodecContext:
    try:
        from av import AudioCodecContext, Codec, CodecContext
        from av.codec.codec import UnknownCodecError
    except ImportError as error:
        raise AudioError(f"{encoding} needs FFmpeg's codecs: pip install 'callpath[codecs]'") from error
    try:
        context = CodecContext.create(Codec(library_codec, mode), mode)
    except UnknownCodecError as error:
        raise AudioError(
            f"{encoding} needs {library_codec}, which this build of PyAV lacks. "
            "Its own wheels have it: pip install --only-binary av 'callpath[codecs]'"
        ) from error
    assert isinstance(context, AudioCodecContext)
    context.sample_rate = sample_rate_hz
    context.layout = "mono"
    if mode == "w":
        context.format = "s16"
    context.options = options
    context.open()
    return context
