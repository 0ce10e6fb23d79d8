"""A calculator for arithmetic expressions, based on Python's parser and a whitelist of nodes.

No code is executed: the syntax tree is interpreted, numbers are limited to 1e300, and all nodes
that are not listed here are refused.
"""

from __future__ import annotations

import ast
import math
import operator

from mcpgw.example.kit import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 500
"""Greatest length of an expression in characters."""

_LARGEST = 1e300
_CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {
    # name: (function, minimum and maximum number of arguments)
    "abs": (abs, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "cos": (math.cos, 1, 1),
    "exp": (math.exp, 1, 1),
    "floor": (math.floor, 1, 1),
    "log": (math.log, 1, 2),
    "log10": (math.log10, 1, 1),
    "max": (max, 2, 50),
    "min": (min, 2, 50),
    "round": (lambda value, digits=0: _rounded(value, digits), 1, 2),
    "sin": (math.sin, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "tan": (math.tan, 1, 1),
}


def evaluate(expression: str) -> float:
    """Return the value of an arithmetic expression; integers stay exact.

    Supports + - * / // % ** (or ^), parentheses, the constants pi, e and tau, and a few functions.

    Raises:
      ToolError: the expression is invalid or has no value.
    """
    if len(expression) > LONGEST:
        raise ToolError(f"The expression is longer than {LONGEST} characters.")
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
        return _value(tree.body)
    except SyntaxError as error:
        raise ToolError(f"Invalid expression '{expression}': {error.msg}.") from None
    except ZeroDivisionError:
        raise ToolError("The expression divides by zero.") from None
    except OverflowError:
        raise ToolError("The result is too large; numbers go up to 1e300.") from None
    except ValueError as error:
        raise ToolError(f"The expression has no value: {error}.") from None
    except (RecursionError, MemoryError):
        raise ToolError("The expression is nested too deeply.") from None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool() | complex()):
            raise ToolError(f"'{ast.unparse(node)}' is not a supported number.")
        case ast.Constant(value=int() | float() as number):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand))
        case ast.BinOp(left=left, op=op, right=right):
            return _bounded(_combine(op, _value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_apply(name, [_value(argument) for argument in arguments]))
    raise ToolError(
        f"'{ast.unparse(node)}' is not supported. Use numbers, + - * / // % **, parentheses, "
        f"{', '.join(_CONSTANTS)}, and the functions {', '.join(_FUNCTIONS)}."
    )


def _combine(op: ast.operator, left: float, right: float) -> float:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.FloorDiv():
            return left // right
        case ast.Mod():
            return left % right
        case ast.Pow():
            return _power(left, right)
    raise ToolError("Unsupported operator. Use + - * / // % **.")


def _power(base: float, exponent: float) -> float:
    # Checked before computing, because 9**9**9 would exhaust the memory.
    if abs(base) > 1 and exponent * math.log10(abs(base)) > math.log10(_LARGEST):
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ToolError("An even root of a negative number is not a real number.")
    return float(result) if isinstance(result, float) else int(result)


def _apply(name: str, arguments: list[float]) -> float:
    function, fewest, most = _FUNCTIONS[name]
    if not fewest <= len(arguments) <= most:
        count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        noun = "argument" if most == 1 else "arguments"
        raise ToolError(f"{name} must have {count} {noun}, not {len(arguments)}.")
    return function(*arguments)


def _rounded(value: float, digits: float) -> float:
    if digits != int(digits) or abs(digits) > 300:
        raise ToolError("The digits of round must be a whole number, at most 300.")
    return round(value, int(digits)) if digits else round(value)


def _bounded(number: float) -> float:
    if not abs(number) < _LARGEST:
        raise OverflowError
    return number
