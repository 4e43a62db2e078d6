"""The one place that touches PyAV (FFmpeg's codecs), which is the extra `codecs`: imported when a codec needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from callpath.audio.pcm import Pcm
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
