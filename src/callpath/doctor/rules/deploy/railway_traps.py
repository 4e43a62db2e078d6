"""DEPLOY012: what Railway refuses, stops reading, or leaves unwritable."""

from callpath.doctor.facts import DeployFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plan, plans


def check(facts: Facts) -> Finding | None:
    seen = facts[DeployFacts]
    railway, images = seen.on("Railway"), seen.on("Docker")
    if not railway:
        return None
    if any(image.volume_keyword for image in images):
        return Finding("the Dockerfile has a VOLUME line, with which Railway refuses to build",
                       fix="Take VOLUME out of the Dockerfile; attach a volume to the service.")  # fmt: skip
    users = [image.user for image in images if image.user not in ("", "root", "0")]
    if users and any(plan.volume and plan.variable("RAILWAY_RUN_UID") != "0" for plan in railway):
        return Finding(f"the image runs as {users[0]}, and Railway mounts a volume that only root may write to",
                       fix="Set RAILWAY_RUN_UID=0 on the service.")  # fmt: skip
    unused = [plan for plan in railway if plan.builder.upper() in {"NIXPACKS", "RAILPACK", "HEROKU", "PAKETO"}]
    if images and unused:
        return Finding(
            f"{unused[0].file} builds with {unused[0].builder}: {images[0].file} is not used, and what it installs is "
            "not there",
            (f"{images[0].file} would start: {'; '.join(command.text for command in images[0].commands) or 'nothing'}",
             f"{unused[0].file} starts: {'; '.join(command.text for command in unused[0].commands) or 'what it finds'}"),
            fix=f'In {unused[0].file}: builder = "DOCKERFILE", and no startCommand of its own; or delete {images[0].file}.',
        )  # fmt: skip
    texts = [plan.file for plan in railway if plan.stop_is_text]
    if texts:
        return Finding(f"{texts[0]} has drainingSeconds in quotes, and Railway refuses the deploy: it expects a number",
                       fix="Write it without quotes: \"drainingSeconds\": 300")  # fmt: skip
    if {plan.file for plan in railway} <= {"railway.json", "railway.toml"}:
        return Finding(
            f"{railway[0].file} is not read any more from 2026-12-01 on, and not at all for new services",
            kind="note",
            fix="railway config migrate writes .railway/railway.ts.",
        )
    return None


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY012",
    slug="railway-trap",
    title="Railway does something else with these files than they say",
    owner="you",
    why="Railway bans VOLUME in Dockerfiles, mounts volumes as root, refuses the text that its own page shows for "
    "drainingSeconds (railwayapp/docs, issue 1243, 2026-07), and is retiring railway.json "
    "(docs.railway.com: config-as-code, volumes/reference; 2026-11).",
    fix="See the evidence.",
    named={
        "VOLUME": plans(plan("Railway"), plan("Docker", volume_keyword=True)),
        "a volume that cannot be written": plans(plan("Railway", volume=True), plan("Docker", user="app")),
        "a number in quotes": plans(plan("Railway", stop_s=300, stop_is_text=True)),
    },
    quiet={"the same file elsewhere": plans(plan("Docker", volume_keyword=True))},
)
