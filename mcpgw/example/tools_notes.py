"""Notes kept in memory, and the tools that write and read them."""

from __future__ import annotations

from mcpgw.example.kit import REPLACES, VARIES, Call, Json, Tool, ToolError, field

_MOST = 1000
_LONGEST = 10_000


class Notes:
    """Notes by title; case and surrounding spaces of a title are ignored."""

    __slots__ = ("_notes",)

    def __init__(self) -> None:
        self._notes: dict[str, tuple[str, str]] = {}

    def remember(self, title: str, text: str) -> bool:
        """Store a note; return whether it replaced one.

        Raises:
          ToolError: there are too many notes.
        """
        key = title.strip().casefold()
        replaced = key in self._notes
        if not replaced and len(self._notes) >= _MOST:
            raise ToolError(f"There are {_MOST} notes already. Replace one you no longer need.")
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
    """Return the tools for these notes."""

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
            raise ToolError(f"Unknown note '{call.text('title')}'. Notes: {titles}.")
        return found

    def list_notes(call: Call) -> Json:
        del call
        return {"titles": notes.titles()}

    title = field("string", "Title of the note; case does not matter.", minLength=1, maxLength=200)
    return (
        Tool(
            "remember_note",
            "Remember a note",
            "Store a short text under a title until this server stops. A note with the same title "
            "is replaced.",
            remember_note,
            takes={
                "title": title,
                "text": field("string", "The text to remember.", maxLength=_LONGEST),
            },
            needs=("title", "text"),
            gives={
                "title": field("string", "The title of the note."),
                "replaced": field("boolean", "Whether it replaced a note with this title."),
            },
            annotations=REPLACES,
        ),
        Tool(
            "recall_note",
            "Recall a note",
            "Return the note with this title.",
            recall_note,
            takes={"title": title},
            needs=("title",),
            gives={
                "title": field("string", "The title of the note."),
                "text": field("string", "The text of the note."),
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
