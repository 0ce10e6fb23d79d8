"""The tool that takes its time, to show progress and cancellation."""

from __future__ import annotations

from mcpgw.example.kit import VARIES, Call, Json, Tool, field


def count_slowly(call: Call) -> Json:
    """Count up with a pause before each number, reporting each."""
    import time

    last = call.whole("to", 5)
    began = time.monotonic()
    for number in range(1, last + 1):
        call.pause(call.number("pause", 0.2))
        call.report(number, last, f"Counted to {number} of {last}")
    return {"counted_to": last, "seconds": round(time.monotonic() - began, 3)}


TOOLS = (
    Tool(
        "count_slowly",
        "Count slowly",
        "Count up to a number with a pause before each, reporting progress on the way. Can be "
        "cancelled at any time. Good for trying out progress bars, cancellation and time limits.",
        count_slowly,
        takes={
            "to": field("integer", "Number to count to; 5 when left out.", minimum=1, maximum=1000),
            "pause": field(
                "number", "Seconds before each number; 0.2 when left out.", minimum=0, maximum=60
            ),
        },
        gives={
            "counted_to": field("integer", "The last number."),
            "seconds": field("number", "How long it took, in seconds."),
        },
        annotations=VARIES,
        patient=True,
    ),
)
