"""Notes kept in memory while the server runs, and the tools that write and read them."""

from __future__ import annotations

from mcpgw.example.kit import REPLACES, VARIES, Call, Json, Tool, ToolError, field

_MOST = 1000
_LONGEST = 10_000


class Notes:
    """Notes by title; the case of a title and spaces around it do not count."""

    __slots__ = ("_notes",)

    def __init__(self) -> None:
        self._notes: dict[str, tuple[str, str]] = {}

    def remember(self, title: str, text: str) -> bool:
        """Keep a note and tell whether it replaced one. Raises ToolError when full."""
        key = title.strip().casefold()
        replaced = key in self._notes
        if not replaced and len(self._notes) >= _MOST:
            raise ToolError(f"There are {_MOST} notes already. Write over one that is done with.")
        self._notes[key] = (title.strip(), text)
        return replaced

    def recall(self, title: str) -> Json | None:
        """Return a note as title and text, or None."""
        found = self._notes.get(title.strip().casefold())
        return None if found is None else {"title": found[0], "text": found[1]}

    def titles(self) -> list[str]:
        """Return all titles, oldest first."""
        return [title for title, _ in self._notes.values()]


def note_tools(notes: Notes) -> tuple[Tool, ...]:
    """Return the tools that work on these notes."""

    def remember_note(call: Call) -> Json:
        title = call.text("title")
        if not title.strip():
            raise ToolError("'title' must not be blank.")
        replaced = notes.remember(title, call.text("text"))
        call.log("info", {"event": "note remembered", "title": title.strip()})
        return {"title": title.strip(), "replaced": replaced}

    def recall_note(call: Call) -> Json:
        found = notes.recall(call.text("title"))
        if found is None:
            titles = ", ".join(notes.titles()[:20]) or "none yet"
            raise ToolError(f"There is no note '{call.text('title')}'. Notes: {titles}.")
        return found

    def list_notes(call: Call) -> Json:
        del call
        return {"titles": notes.titles()}

    title = field("string", "Title of the note; case does not matter.", minLength=1, maxLength=200)
    return (
        Tool(
            "remember_note",
            "Remember a note",
            "Keep a short text under a title until this server stops. A note of the same title "
            "is replaced.",
            remember_note,
            takes={
                "title": title,
                "text": field("string", "What to remember.", maxLength=_LONGEST),
            },
            needs=("title", "text"),
            gives={
                "title": field("string", "The title that the note is kept under."),
                "replaced": field("boolean", "Whether a note of this title was there before."),
            },
            annotations=REPLACES,
        ),
        Tool(
            "recall_note",
            "Recall a note",
            "Read back the note that was remembered under a title.",
            recall_note,
            takes={"title": title},
            needs=("title",),
            gives={
                "title": field("string", "The title as it was written."),
                "text": field("string", "What was remembered."),
            },
            annotations=VARIES,
        ),
        Tool(
            "list_notes",
            "List notes",
            "List the titles of all remembered notes, oldest first.",
            list_notes,
            takes={},
            gives={"titles": field("array", "The titles.", items={"type": "string"})},
            annotations=VARIES,
        ),
    )
