"""WAV files that handlers play: read, decoded and resampled in a thread, once, and kept in memory.

A file is known by its path, its time and its size, so one that was replaced is read again. Calls that begin to play a
file at the same time wait for one decoding. What does not fit into the cache is shared for as long as somebody plays it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import stat
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from callpath.api.file_threads import FileThreads
from callpath.audio.pcm import Pcm
from callpath.audio.wav import read_wav
from callpath.errors import AudioError

CACHE_BYTES_MAX = 64 * 1024 * 1024
"""Maximum decoded audio kept: over an hour at 8 kHz."""

LOAD_S_MAX = 30.0
"""How long a handler's `play` waits for a file. Five minutes of 44.1 kHz stereo take less than a second."""

THREADS = 4
"""A file on a disk that hangs holds up one of them."""

NAME_CHARS_MAX = 40
"""A longer text in the place of a path is not repeated in the error: it is speech, and may be private."""


_FILE_NAME = re.compile(r"\.\w{2,4}$|^[^\s]*/[^\s]*$")
"""What looks like the name of a file, and not like a sentence."""

_SPEAK = "play() takes the path of a WAV file, or audio; to have text spoken, use "


@dataclass(frozen=True, slots=True)
class _Key:
    path: Path
    mtime_ns: int
    size: int
    rate_hz: int


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Sound:
    """The audio of one file, mono, at `rate_hz`."""

    pcm: Pcm
    rate_hz: int


class Sounds:
    """The sounds of one process. Used on the event loop."""

    def __init__(self, threads: FileThreads | None = None, *, cache_bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._threads = threads or FileThreads("read sounds", THREADS)
        self._cache_bytes_max = cache_bytes_max
        self._kept: OrderedDict[_Key, Sound] = OrderedDict()
        self._kept_bytes = 0
        self._playing: WeakValueDictionary[_Key, Sound] = WeakValueDictionary()
        self._loading: dict[_Key, asyncio.Future[Sound]] = {}

    async def load(self, source: str | Path, rate_hz: int) -> Sound:
        """The sound of a WAV file at `rate_hz`. Raises AudioError, whose text says what to do.

        Whoever waits may be cancelled; the file is decoded all the same, for the next.
        """
        try:
            async with asyncio.timeout(LOAD_S_MAX):
                key = await self._threads.start(lambda: _identify(source, rate_hz))
                sound = self._find(key)
                return sound if sound is not None else await asyncio.shield(self._load(key))
        except TimeoutError:
            name = Path(source).name
            raise AudioError(f"{name} could not be read within {LOAD_S_MAX:.0f} s: is its disk slow?") from None

    def _find(self, key: _Key) -> Sound | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._playing.get(key)

    def _load(self, key: _Key) -> asyncio.Future[Sound]:
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = self._threads.start(lambda: Sound(*read_wav(key.path, key.rate_hz)))

            def loaded(future: asyncio.Future[Sound]) -> None:
                del self._loading[key]
                if not future.cancelled() and future.exception() is None:
                    self._keep(key, future.result())

            loading.add_done_callback(loaded)
        return loading

    def _keep(self, key: _Key, sound: Sound) -> None:
        self._playing[key] = sound
        if sound.pcm.nbytes > self._cache_bytes_max:
            return
        self._kept[key] = sound
        self._kept_bytes += sound.pcm.nbytes
        while self._kept_bytes > self._cache_bytes_max:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.pcm.nbytes

    def close(self) -> None:
        """Load nothing more."""
        self._threads.close()


def _identify(source: str | Path, rate_hz: int) -> _Key:
    """In a thread. Raises AudioError, for a text that was meant to be spoken, too."""
    if source == "":
        raise _not_there(source)
    try:
        path = Path(source).resolve()
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise _not_there(source) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _not_there(source) from None
        raise AudioError(f"{Path(source).name} cannot be read: {error.strerror or error}") from error
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{path.name} is a folder. play() takes the path of one WAV file")
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(f"{path.name} is not a regular file. play() takes the path of a WAV file")
    if not os.access(path, os.R_OK):
        mode = stat.filemode(found.st_mode)
        raise AudioError(f"{path.name} cannot be read: permission denied ({mode}, owned by user {found.st_uid})")
    return _Key(path, found.st_mtime_ns, found.st_size, rate_hz)


def _not_there(source: str | Path) -> AudioError:
    path = Path(source)
    if not isinstance(source, str) or _FILE_NAME.search(source):
        return AudioError(f"there is no file {path.name} in {path.parent.absolute()}")
    if len(source) > NAME_CHARS_MAX:
        return AudioError(f"the text given to play() is not the name of a file. {_SPEAK}await call.speak(text)")
    return AudioError(f'there is no file "{source}". {_SPEAK}await call.speak("{source}")')
