"""Tools for numbers: evaluation of expressions, and statistics."""

from __future__ import annotations

from mcpgw.example.kit import Call, Json, Tool, ToolError, field


def calculate(call: Call) -> Json:
    """Evaluate an arithmetic expression."""
    from mcpgw.example.arithmetic import evaluate

    return {"value": evaluate(call.text("expression"))}


def summarize_numbers(call: Call) -> Json:
    """Compute the usual statistics of a list of numbers."""
    import math
    import statistics

    numbers = call.numbers("numbers")
    try:
        return {
            "count": len(numbers),
            "sum": math.fsum(numbers),
            "mean": statistics.fmean(numbers),
            "median": statistics.median(numbers),
            "smallest": min(numbers),
            "largest": max(numbers),
            "standard_deviation": statistics.stdev(numbers) if len(numbers) > 1 else 0.0,
        }
    except OverflowError:
        raise ToolError("The numbers are too large to be added up.") from None


TOOLS = (
    Tool(
        "calculate",
        "Calculator",
        "Evaluate an arithmetic expression such as (3 + 4) * 2 ** 10 or sqrt(2) / 3. Supports "
        "+ - * / // % **, pi, e, tau, abs, ceil, cos, exp, floor, log, log10, max, min, round, "
        "sin, sqrt and tan (angles in radians).",
        calculate,
        takes={"expression": field("string", "The expression to evaluate.", minLength=1)},
        needs=("expression",),
        gives={"value": field("number", "The value; whole numbers are exact.")},
    ),
    Tool(
        "summarize_numbers",
        "Statistics of numbers",
        "Compute count, sum, mean, median, smallest, largest and standard deviation of a list "
        "of numbers.",
        summarize_numbers,
        takes={
            "numbers": field(
                "array", "The numbers.", items={"type": "number"}, minItems=1, maxItems=10_000
            )
        },
        needs=("numbers",),
        gives={
            "count": field("integer", "The number of numbers."),
            "sum": field("number", "Their sum."),
            "mean": field("number", "Their arithmetic mean."),
            "median": field("number", "The middle one."),
            "smallest": field("number", "The smallest one."),
            "largest": field("number", "The largest one."),
            "standard_deviation": field(
                "number", "Standard deviation of the sample; 0 for a single number."
            ),
        },
    ),
)
