"""The tool for conversion of units."""

from __future__ import annotations

from mcpgw.example.kit import Call, Json, Tool, ToolError, field

# Quantity -> unit -> (factor to the base unit, other names). Factors are exact by definition
# (SI, international yard and pound, US customary volumes); a year is the calendar's mean year.
_FACTORS: dict[str, dict[str, tuple[float, str]]] = {
    "length": {
        "m": (1.0, "metre meter metres meters"),
        "km": (1000.0, "kilometre kilometer kilometres kilometers"),
        "cm": (0.01, "centimetre centimeter centimetres centimeters"),
        "mm": (0.001, "millimetre millimeter millimetres millimeters"),
        "mi": (1609.344, "mile miles"),
        "yd": (0.9144, "yard yards"),
        "ft": (0.3048, "foot feet"),
        "in": (0.0254, "inch inches"),
        "nmi": (1852.0, "nautical_mile nautical_miles"),
    },
    "mass": {
        "kg": (1.0, "kilogram kilograms kilo kilos"),
        "g": (0.001, "gram grams gramme grammes"),
        "mg": (1e-6, "milligram milligrams"),
        "t": (1000.0, "tonne tonnes"),
        "lb": (0.45359237, "pound pounds lbs"),
        "oz": (0.028349523125, "ounce ounces"),
        "st": (6.35029318, "stone stones"),
    },
    "volume": {
        "l": (1.0, "litre liter litres liters"),
        "ml": (0.001, "millilitre milliliter millilitres milliliters"),
        "m3": (1000.0, "cubic_metre cubic_meter cubic_metres cubic_meters"),
        "gal": (3.785411784, "gallon gallons us_gallon us_gallons"),
        "qt": (0.946352946, "quart quarts"),
        "pt": (0.473176473, "pint pints"),
        "cup": (0.2365882365, "cups"),
        "floz": (0.0295735295625, "fl_oz fluid_ounce fluid_ounces"),
        "tbsp": (0.01478676478125, "tablespoon tablespoons"),
        "tsp": (0.00492892159375, "teaspoon teaspoons"),
    },
    "area": {
        "m2": (1.0, "square_metre square_meter square_metres square_meters sqm"),
        "km2": (1e6, "square_kilometre square_kilometer square_kilometres square_kilometers"),
        "ha": (10_000.0, "hectare hectares"),
        "acre": (4046.8564224, "acres"),
        "ft2": (0.09290304, "square_foot square_feet sqft"),
        "mi2": (2589988.110336, "square_mile square_miles"),
    },
    "speed": {
        "m/s": (1.0, "mps metres_per_second meters_per_second"),
        "km/h": (1 / 3.6, "kmh kph kilometres_per_hour kilometers_per_hour"),
        "mph": (0.44704, "mi/h miles_per_hour"),
        "kn": (1852 / 3600, "knot knots"),
    },
    "duration": {
        "s": (1.0, "second seconds sec"),
        "ms": (0.001, "millisecond milliseconds"),
        "min": (60.0, "minute minutes"),
        "h": (3600.0, "hour hours hr"),
        "d": (86_400.0, "day days"),
        "week": (604_800.0, "weeks"),
        "year": (31_556_952.0, "years"),
    },
    "data": {
        "B": (1.0, "byte bytes"),
        "bit": (0.125, "bits"),
        "kB": (1e3, "kilobyte kilobytes"),
        "MB": (1e6, "megabyte megabytes"),
        "GB": (1e9, "gigabyte gigabytes"),
        "TB": (1e12, "terabyte terabytes"),
        "KiB": (2.0**10, "kibibyte kibibytes"),
        "MiB": (2.0**20, "mebibyte mebibytes"),
        "GiB": (2.0**30, "gibibyte gibibytes"),
        "TiB": (2.0**40, "tebibyte tebibytes"),
    },
    "energy": {
        "J": (1.0, "joule joules"),
        "kJ": (1e3, "kilojoule kilojoules"),
        "cal": (4.184, "calorie calories"),
        "kcal": (4184.0, "kilocalorie kilocalories"),
        "kWh": (3.6e6, "kilowatt_hour kilowatt_hours"),
    },
    "pressure": {
        "Pa": (1.0, "pascal pascals"),
        "hPa": (100.0, "hectopascal hectopascals mbar millibar"),
        "kPa": (1000.0, "kilopascal kilopascals"),
        "bar": (1e5, "bars"),
        "atm": (101_325.0, "atmosphere atmospheres"),
        "psi": (6894.757293168361, ""),
    },
}

# Unit -> (kelvin per degree, zero point in kelvin, other names).
_TEMPERATURES: dict[str, tuple[float, float, str]] = {
    "C": (1.0, 273.15, "celsius degc °c centigrade"),
    "F": (5 / 9, 273.15 - 32 * 5 / 9, "fahrenheit degf °f"),
    "K": (1.0, 0.0, "kelvin kelvins"),
}


def convert_units(call: Call) -> Json:
    """Convert a quantity."""
    value = call.number("value")
    quantity, name, factor, zero = _unit(call.text("from_unit"))
    other_quantity, other_name, other_factor, other_zero = _unit(call.text("to_unit"))
    if quantity != other_quantity:
        raise ToolError(
            f"{name} measures {quantity} and {other_name} measures {other_quantity}; "
            "both units must measure the same quantity."
        )
    base = value * factor + zero
    if quantity == "temperature" and base < -1e-9:
        raise ToolError(f"{value} {name} is below absolute zero.")
    # 12 digits exceed the precision of the inexact factors and hide binary rounding errors.
    result = float(f"{(base - other_zero) / other_factor:.12g}")
    return {"value": result, "unit": other_name, "quantity": quantity}


def _unit(given: str) -> tuple[str, str, float, float]:
    names = _names()
    written = given.strip().replace(" ", "_")
    found = names.get(written)
    if found is None and not (len(written) <= 2 and written.startswith("M")):
        # Mg is not mg: a capital M means a million, a small one a thousandth.
        found = names.get(written.casefold())
    if found is None:
        import difflib

        near = difflib.get_close_matches(written.casefold(), names, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        symbols = ", ".join(dict.fromkeys(unit[1] for unit in names.values()))
        raise ToolError(f"Unknown unit '{given}'.{hint} Units: {symbols}.")
    return found


def _names() -> dict[str, tuple[str, str, float, float]]:
    names: dict[str, tuple[str, str, float, float]] = {}
    for quantity, units in _FACTORS.items():
        for symbol, (factor, others) in units.items():
            for name in (symbol, *others.split()):
                names[name] = (quantity, symbol, factor, 0.0)
    for symbol, (degree, zero, others) in _TEMPERATURES.items():
        for name in (symbol, *others.split()):
            names[name] = ("temperature", symbol, degree, zero)
    # "KG" and "Miles" are unambiguous; Mb, kB and KB are not.
    folded = {
        name.casefold(): unit for name, unit in names.items() if unit[0] != "data" or len(name) > 3
    }
    return {**folded, **names}


TOOLS = (
    Tool(
        "convert_units",
        "Convert units",
        "Convert a quantity between units of length, mass, temperature, volume (US), area, "
        "speed, duration, data size, energy or pressure, for example 5 miles to km or 70 F to C.",
        convert_units,
        takes={
            "value": field("number", "The amount to convert."),
            "from_unit": field(
                "string",
                "Unit of the amount: a symbol or a name, such as mi or miles.",
                minLength=1,
            ),
            "to_unit": field("string", "Unit to convert to, such as km.", minLength=1),
        },
        needs=("value", "from_unit", "to_unit"),
        gives={
            "value": field("number", "The converted amount, to 12 digits."),
            "unit": field("string", "Symbol of the unit."),
            "quantity": field("string", "The quantity that the units measure, such as length."),
        },
    ),
)
