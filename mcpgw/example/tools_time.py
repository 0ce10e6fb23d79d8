"""Tools for dates and time zones, based on the local time zone data."""

from __future__ import annotations

from mcpgw.example.kit import VARIES, Call, Json, Tool, ToolError, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, tzinfo

_ZONE = "An IANA name such as Europe/Berlin, UTC, or an offset such as +05:30."


def current_time(call: Call) -> Json:
    """Return the current time in a zone."""
    from datetime import datetime

    name = call.text("zone", "UTC")
    now = datetime.now(_zone(name)).replace(microsecond=0)
    return {"zone": name, "time": now.isoformat(), "weekday": f"{now:%A}"}


def convert_time(call: Call) -> Json:
    """Convert a time from one zone to another."""
    source, target = _zone(call.text("from_zone")), _zone(call.text("to_zone"))
    try:
        start = _moment(call.text("time"), source, call.text("from_zone"))
        there = start.astimezone(target)
    except OverflowError:
        raise ToolError("The first and the last day of the calendar cannot be converted.") from None
    return {
        "from": start.isoformat(),
        "to": there.isoformat(),
        "weekday": f"{there:%A}",
        "hours_ahead": _offset_hours(there) - _offset_hours(start),
    }


def add_to_date(call: Call) -> Json:
    """Move a date by days, weeks, months and years."""
    import calendar
    from datetime import date, timedelta

    given = call.text("date")
    try:
        start = date.fromisoformat(given)
    except ValueError:
        raise ToolError(f"Invalid date '{given}'. Write it as 2026-11-23.") from None
    months = start.year * 12 + start.month - 1 + call.whole("months") + call.whole("years") * 12
    year, month = months // 12, months % 12 + 1
    try:
        day = min(start.day, calendar.monthrange(year, month)[1])
        moved = date(year, month, day) + timedelta(call.whole("days") + 7 * call.whole("weeks"))
    except (ValueError, OverflowError):
        raise ToolError("The result is outside of the years 1 to 9999.") from None
    return {
        "date": moved.isoformat(),
        "weekday": f"{moved:%A}",
        "days_between": (moved - start).days,
    }


def _zone(name: str) -> tzinfo:
    import re
    from datetime import UTC, timedelta, timezone

    if name.upper() in ("UTC", "Z"):
        return UTC
    offset = re.fullmatch(r"([+-])(\d\d):?([0-5]\d)", name)
    if offset is not None and int(offset[2]) < 24:
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        city = name.replace(" ", "_").casefold()
        known = sorted(zoneinfo.available_timezones())
        near = [zone for zone in known if city and city in zone.casefold()][:3]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ToolError(f"Unknown time zone '{name}'.{hint} {_ZONE}") from None


def _moment(text: str, zone: tzinfo, zone_name: str) -> datetime:
    from datetime import UTC, datetime, time

    try:
        if "-" in text:
            naive = datetime.fromisoformat(text)
        else:
            naive = datetime.combine(datetime.now(zone).date(), time.fromisoformat(text))
    except ValueError:
        raise ToolError(f"Invalid time '{text}'. Write it as 2026-11-23T14:30 or 14:30.") from None
    if naive.tzinfo is not None:
        raise ToolError(f"'{text}' must not have an offset, because from_zone sets it.")
    moment = naive.replace(tzinfo=zone)
    # A time skipped by the clocks comes back from UTC as a different one.
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise ToolError(f"'{text}' does not exist in {zone_name}: the clocks go forward there.")
    return moment


def _offset_hours(moment: datetime) -> float:
    offset = moment.utcoffset()
    return offset.total_seconds() / 3600 if offset is not None else 0.0


TOOLS = (
    Tool(
        "current_time",
        "Current time",
        "Tell the current date, time and weekday in a time zone.",
        current_time,
        takes={"zone": field("string", f"Time zone; UTC by default. {_ZONE}", minLength=1)},
        gives={
            "zone": field("string", "The requested zone."),
            "time": field("string", "ISO 8601 date and time with offset."),
            "weekday": field("string", "Name of the day, such as Monday."),
        },
        annotations=VARIES,
    ),
    Tool(
        "convert_time",
        "Convert a time between zones",
        "Convert a date and time from one time zone to another, daylight saving included.",
        convert_time,
        takes={
            "time": field(
                "string", "Local time as 2026-11-23T14:30, or 14:30 for today.", minLength=1
            ),
            "from_zone": field("string", f"The zone of the given time. {_ZONE}"),
            "to_zone": field("string", f"The zone to convert to. {_ZONE}"),
        },
        needs=("time", "from_zone", "to_zone"),
        gives={
            "from": field("string", "The given time with its offset, ISO 8601."),
            "to": field("string", "The same time in the other zone, ISO 8601."),
            "weekday": field("string", "Name of the day in the other zone."),
            "hours_ahead": field("number", "How far the other zone is ahead, in hours."),
        },
    ),
    Tool(
        "add_to_date",
        "Add to a date",
        "Add days, weeks, months or years to a date, or subtract them with negative numbers. "
        "A day that the month does not have becomes its last day.",
        add_to_date,
        takes={
            "date": field("string", "The date to start from, as 2026-11-23.", minLength=1),
            "days": field("integer", "Days to add.", minimum=-4_000_000, maximum=4_000_000),
            "weeks": field("integer", "Weeks to add.", minimum=-600_000, maximum=600_000),
            "months": field("integer", "Months to add.", minimum=-120_000, maximum=120_000),
            "years": field("integer", "Years to add.", minimum=-10_000, maximum=10_000),
        },
        needs=("date",),
        gives={
            "date": field("string", "The resulting date, ISO 8601."),
            "weekday": field("string", "Name of the resulting day."),
            "days_between": field("integer", "Days from the given date to the result."),
        },
    ),
)
