"""PLATFORM010: the place where recordings are to be kept cannot be used."""

from callpath.doctor.facts import ArchiveFacts, Facts
from callpath.doctor.rule import Cause, Finding


def check(facts: Facts) -> Finding | None:
    seen = facts[ArchiveFacts]
    if not seen.code:
        return None
    return Finding(f"{seen.said} ({seen.code})", (f"CALLPATH_RECORDINGS={seen.url}",), fix=FIXES.get(seen.code, ""))


FIXES = {
    "REC001": "Give the server's credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role) the right to "
    "put, get and delete objects there.",
    "REC002": "Make the bucket, or correct its name in CALLPATH_RECORDINGS.",
    "REC003": "Set AWS_ENDPOINT_URL and AWS_REGION to your store's, and see that this machine may connect to it.",
}


def _archive(code: str = "", said: str = "") -> Facts:
    return Facts(ArchiveFacts(url="s3://calls", code=code, said=said))


CAUSE = Cause.of(
    "account",
    check,
    code="PLATFORM010",
    slug="recordings-unwritable",
    title="Recordings cannot be put where they are to be kept",
    owner="you",
    why="A small object was to be written, read and deleted, as the server does with recordings. While that fails "
    "they stay on the server's own disk, which on most platforms ends with the container.",
    fix="See the evidence, and the codes in docs/howto/keep-recordings-elsewhere.md.",
    named={
        "credentials that may only read": _archive("REC001", "cannot be written: AccessDenied"),
        "no such bucket": _archive("REC002", "cannot be written: NoSuchBucket"),
    },
    quiet={"it works": _archive()},
)
