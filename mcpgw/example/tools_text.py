"""Tools for text: counting, comparing, searching and rewriting."""

from __future__ import annotations

import re

from mcpgw.example.kit import Call, Json, Tool, ToolError, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 50_000
_WORDS_A_MINUTE = 230

# The lookbehinds let a match start only at the start of a run, so a long run is scanned once.
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_URL = re.compile(r"\bhttps?://[^\s<>\"'`]+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def count_words(call: Call) -> Json:
    """Count the words, characters, sentences and lines of a text."""
    text = call.text("text")
    words = len(_WORD.findall(text))
    return {
        "words": words,
        "characters": len(text),
        "characters_without_spaces": sum(not character.isspace() for character in text),
        "sentences": len(_SENTENCE_END.findall(text)) or int(words > 0),
        "lines": text.count("\n") + 1 if text else 0,
        "reading_minutes": round(words / _WORDS_A_MINUTE, 1),
    }


def slugify(call: Call) -> Json:
    """Turn a title into a slug for a URL."""
    import unicodedata

    folded = unicodedata.normalize("NFKD", call.text("text").casefold())
    plain = folded.encode("ascii", "ignore").decode().replace("'", "")
    separator = call.text("separator", "-")
    longest = call.whole("longest", 80)
    slug = re.sub(r"[^a-z0-9]+", separator, plain).strip(separator)[:longest].strip(separator)
    if not slug:
        raise ToolError("The slug would be empty: the text must have letters that map to ASCII.")
    return {"slug": slug}


def change_case(call: Call) -> Json:
    """Rewrite a text or a name in another case."""
    text, style = call.text("text"), call.text("style")
    words = [word.casefold() for word in _WORD.findall(_HUMP.sub(" ", text).replace("_", " "))]
    styles: dict[str, Callable[[], str]] = {
        "upper": text.upper,
        "lower": text.lower,
        "title": lambda: _WORD.sub(lambda word: word[0][:1].upper() + word[0][1:], text),
        "sentence": lambda: text[:1].upper() + text[1:].lower(),
        "snake": lambda: "_".join(words),
        "kebab": lambda: "-".join(words),
        "camel": lambda: "".join(words[:1] + [word.capitalize() for word in words[1:]]),
        "pascal": lambda: "".join(word.capitalize() for word in words),
    }
    return {"text": styles[style]()}


def compare_texts(call: Call) -> str:
    """Return the differences between two texts as a unified diff."""
    import difflib

    changed = difflib.unified_diff(
        call.text("before").splitlines(),
        call.text("after").splitlines(),
        fromfile="before",
        tofile="after",
        lineterm="",
        n=call.whole("context", 3),
    )
    return "\n".join(changed) or "The two texts have the same lines."


def extract_links(call: Call) -> Json:
    """Find the e-mail addresses and URLs in a text."""
    text = call.text("text")
    urls = [url.rstrip(".,;:!?)]}") for url in _URL.findall(text)]
    emails = [email.rstrip("-") for email in _EMAIL.findall(_URL.sub(" ", text))]
    return {"emails": list(dict.fromkeys(emails)), "urls": list(dict.fromkeys(urls))}


def _words(description: str) -> Json:
    return field("string", description, maxLength=_LONGEST)


TOOLS = (
    Tool(
        "count_words",
        "Count words",
        "Count the words, characters, sentences and lines of a text, and estimate its reading "
        "time.",
        count_words,
        takes={"text": _words("The text to count.")},
        needs=("text",),
        gives={
            "words": field("integer", "Number of words."),
            "characters": field("integer", "Number of characters, spaces included."),
            "characters_without_spaces": field("integer", "Number of characters without spaces."),
            "sentences": field("integer", "Number of sentences."),
            "lines": field("integer", "Number of lines."),
            "reading_minutes": field("number", "Minutes of silent reading at 230 words each."),
        },
    ),
    Tool(
        "slugify",
        "Make a slug",
        "Turn a title into a slug for a web address or a file name: lower-case ASCII letters "
        "and digits, without accents, with hyphens between the words.",
        slugify,
        takes={
            "text": _words("The title to turn into a slug."),
            "separator": field("string", "The separator between words.", enum=["-", "_", "."]),
            "longest": field("integer", "Greatest length; 80 by default.", minimum=1),
        },
        needs=("text",),
        gives={"slug": field("string", "The slug.")},
    ),
    Tool(
        "change_case",
        "Change case",
        "Rewrite a text or an identifier in another case: UPPER, lower, Title, Sentence, "
        "snake_case, kebab-case, camelCase or PascalCase.",
        change_case,
        takes={
            "text": _words("The text or the identifier to rewrite."),
            "style": field(
                "string",
                "The case to use.",
                enum=["upper", "lower", "title", "sentence", "snake", "kebab", "camel", "pascal"],
            ),
        },
        needs=("text", "style"),
        gives={"text": field("string", "The text in the new case.")},
    ),
    Tool(
        "compare_texts",
        "Compare two texts",
        "Compare two texts line by line and show the differences as a unified diff.",
        compare_texts,
        takes={
            "before": _words("The old text."),
            "after": _words("The new text."),
            "context": field(
                "integer",
                "Unchanged lines to show around a change; 3 by default.",
                minimum=0,
                maximum=100,
            ),
        },
        needs=("before", "after"),
    ),
    Tool(
        "extract_links",
        "Extract e-mail and web addresses",
        "Find the e-mail addresses and URLs in a text, each once, in order.",
        extract_links,
        takes={"text": _words("The text to search.")},
        needs=("text",),
        gives={
            "emails": field("array", "E-mail addresses.", items={"type": "string"}),
            "urls": field("array", "Web addresses.", items={"type": "string"}),
        },
    ),
)
