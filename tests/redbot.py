"""REDbot, the lint for HTTP, from Python: fetches a URL, repeats it conditionally, and says what it finds."""

from configparser import ConfigParser
from dataclasses import dataclass

import thor
from redbot.resource import HttpResource
from redbot.resource.fetch import RedFetcher, RedHttpClient

SECONDS = 20


@dataclass(frozen=True, slots=True)
class Note:
    """One finding; `level` is good, info, warning or bad."""

    level: str
    category: str
    subject: str
    summary: str


def run(url: str) -> list[Note]:
    """Every note on the answer and on REDbot's conditional repeats of it. One at a time: its event loop is global."""
    settings = ConfigParser()
    settings.read_dict({"redbot": {"enable_local_access": "True"}})
    RedFetcher.client = RedHttpClient()  # the class-wide one keeps dead connections over thor.stop()
    resource = HttpResource(settings["redbot"])
    resource.set_request(url, "GET", [])
    finished: list[bool] = []

    def finish() -> None:
        finished.append(True)
        thor.stop()

    resource.once("check_done", finish)
    late = thor.schedule(SECONDS, thor.stop)
    resource.check()
    if not finished:
        thor.run()
    late.delete()
    if not (finished and resource.response.complete):
        raise RuntimeError(f"redbot could not fetch {url}")
    responses = [resource.response, *(sub.response for sub in resource.subreqs.values() if sub.response.complete)]
    return [_note(note) for response in responses for note in response.notes]


def _note(note: object) -> Note:
    return Note(note.level.value, str(note.category.value), note.subject, str(note.summary))  # type: ignore[attr-defined]
