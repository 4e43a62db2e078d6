"""What calls read and write on disk, away from the event loop: recordings (`recording`) and sounds to play (`sounds`)."""

from __future__ import annotations

from dataclasses import dataclass

from callpath.api.file_threads import InlineFiles
from callpath.api.recording import RecordingWriter
from callpath.api.sounds import Sounds


@dataclass(frozen=True, slots=True)
class Files:
    """Shared by all calls of a process."""

    recordings: RecordingWriter
    sounds: Sounds

    @staticmethod
    def in_threads() -> Files:
        """As a server needs it. The threads start with the first file."""
        return Files(RecordingWriter(), Sounds())

    @staticmethod
    def inline() -> Files:
        """Done at once on the event loop: for tests on a manual clock, which no thread follows."""
        inline = InlineFiles()
        return Files(RecordingWriter(inline), Sounds(inline))

    def stop(self) -> None:
        """The server stops: what is still to be written has a few seconds."""
        self.recordings.stop()

    def close(self) -> None:
        """All calls are over: end the threads."""
        self.recordings.threads.close()
        self.sounds.close()
