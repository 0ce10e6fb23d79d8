"""The resources and prompts of the example server."""

from __future__ import annotations

import json

from mcpgw.example.kit import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mcpgw.example.tools_notes import Notes

GUIDE_URI = "example://guide"
NOTES_URI = "example://notes"

_GUIDE = """# The example server

Small tools that work offline, to try a gateway with:

- time: `current_time`, `convert_time`, `add_to_date`
- text: `count_words`, `slugify`, `change_case`, `compare_texts`, `extract_links`
- numbers and units: `calculate`, `summarize_numbers`, `convert_units`
- codes: `encode_text`, `decode_text`, `hash_text`, `make_uuid`
- notes, kept until the server stops: `remember_note`, `recall_note`, `list_notes`
- waiting: `count_slowly` reports progress and can be cancelled

Each note is also a resource: `example://notes/{title}`.
"""

RESOURCES: list[Json] = [
    {
        "uri": GUIDE_URI,
        "name": "guide",
        "title": "Guide to the example server",
        "description": "The tools and resources of this server, on one page.",
        "mimeType": "text/markdown",
    },
    {
        "uri": NOTES_URI,
        "name": "notes",
        "title": "All notes",
        "description": "The titles and texts of all remembered notes as JSON.",
        "mimeType": "application/json",
    },
]

TEMPLATES: list[Json] = [
    {
        "uriTemplate": "example://notes/{title}",
        "name": "note",
        "title": "One note",
        "description": "The text of the note with this title.",
        "mimeType": "text/plain",
    },
]

PROMPTS: list[Json] = [
    {
        "name": "tidy_text",
        "title": "Tidy a text",
        "description": "Ask for a text to be corrected and polished without changing its meaning.",
        "arguments": [
            {"name": "text", "description": "The text to tidy.", "required": True},
            {"name": "tone", "description": "The tone to use, such as friendly or formal."},
        ],
    },
    {
        "name": "plan_meeting",
        "title": "Plan a meeting across time zones",
        "description": "Ask for a meeting time that suits people in several zones.",
        "arguments": [
            {"name": "zones", "description": "Time zones, comma-separated.", "required": True},
            {"name": "date", "description": "The day of the meeting, as 2026-11-23."},
        ],
    },
]


def read_resource(uri: str, notes: Notes) -> Json | None:
    """Return the contents of a resource for `resources/read`, or None for an unknown one."""
    if uri == GUIDE_URI:
        return _contents(uri, "text/markdown", _GUIDE)
    if uri == NOTES_URI:
        every = [notes.recall(title) for title in notes.titles()]
        return _contents(uri, "application/json", json.dumps(every, ensure_ascii=False))
    if uri.startswith(f"{NOTES_URI}/"):
        from urllib.parse import unquote

        note = notes.recall(unquote(uri.removeprefix(f"{NOTES_URI}/")))
        if note is not None:
            return _contents(uri, "text/plain", str(note["text"]))
    return None


def get_prompt(name: str, arguments: dict[str, str]) -> Json:
    """Return the result of `prompts/get`.

    Raises:
      LookupError: the prompt is unknown or a required argument is missing.
    """
    prompt = next((prompt for prompt in PROMPTS if prompt["name"] == name), None)
    if prompt is None:
        known = ", ".join(str(prompt["name"]) for prompt in PROMPTS)
        raise LookupError(f"Unknown prompt '{name}'. Prompts: {known}.")
    needed = "text" if name == "tidy_text" else "zones"
    if not arguments.get(needed):
        raise LookupError(f"The prompt '{name}' requires the argument '{needed}'.")
    if name == "tidy_text":
        tone = arguments.get("tone")
        style = f" Use a {tone} tone." if tone else ""
        text = (
            "Correct spelling and grammar of the text below and make it read smoothly. Keep its "
            f"meaning and its language.{style}\n\n{arguments['text']}"
        )
    else:
        day = arguments.get("date") or "the next working day"
        text = (
            f"Find a time for a one-hour meeting on {day} that falls into working hours (9 to "
            f"17) in as many of these zones as possible: {arguments['zones']}. Use the tool "
            "convert_time, and show the time in each zone."
        )
    return {
        "description": prompt["description"],
        "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
    }


def _contents(uri: str, kind: str, text: str) -> Json:
    return {"contents": [{"uri": uri, "mimeType": kind, "text": text}]}
