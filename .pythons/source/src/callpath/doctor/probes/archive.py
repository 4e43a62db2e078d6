"""Whether recordings can be put where they are to be kept."""

from __future__ import annotations

from callpath.doctor.facts import ArchiveFacts
from callpath.errors import ArchiveError
from callpath.store.archive import Archive


async def probe_archive(archive: Archive) -> ArchiveFacts:
    """Write, read and delete something small there."""
    try:
        await archive.check()
    except ArchiveError as error:
        return ArchiveFacts(url=archive.url, code=error.code, said=str(error))
    return ArchiveFacts(url=archive.url)
