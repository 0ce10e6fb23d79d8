"""A slow tool, to demonstrate progress and cancellation."""

from __future__ import annotations

from mcpgw.example.kit import VARIES, Call, Json, Tool, field


def count_slowly(call: Call) -> Json:
    """Count up with a pause before each number, and report progress."""
    import time

    last = call.whole("to", 5)
    started = time.monotonic()
    for number in range(1, last + 1):
        call.pause(call.number("pause", 0.2))
        call.report(number, last, f"Counted to {number} of {last}")
    return {"counted_to": last, "seconds": round(time.monotonic() - started, 3)}


TOOLS = (
    Tool(
        "count_slowly",
        "Count slowly",
        "Count up to a number with a pause before each, and report progress. Can be cancelled at "
        "any time. Useful to try out progress bars, cancellation and timeouts.",
        count_slowly,
        takes={
            "to": field("integer", "Number to count to; 5 by default.", minimum=1, maximum=1000),
            "pause": field(
                "number", "Seconds before each number; 0.2 by default.", minimum=0, maximum=60
            ),
        },
        gives={
            "counted_to": field("integer", "The last number."),
            "seconds": field("number", "Elapsed time in seconds."),
        },
        annotations=VARIES,
        patient=True,
    ),
)
