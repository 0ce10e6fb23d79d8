"""Fail if modules of mcpgw import each other in a circle.

    python scripts/check_imports.py

Every import counts: at the top of a module, inside a function, and under `TYPE_CHECKING`.
A module of a package is imported by its own name; that Python runs the package's `__init__`
before it does not count as an import.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "mcpgw"

Imports = Mapping[str, Mapping[str, set[str]]]
"""Importing module -> imported module -> names that it takes from there."""


def read_imports(root: Path, package: str = PACKAGE) -> Imports:
    """Return the imports among the modules of a package that lies in `root`."""
    modules = {_module_name(root, path): path for path in sorted((root / package).rglob("*.py"))}
    imports: dict[str, dict[str, set[str]]] = {}
    for module, path in modules.items():
        found = imports.setdefault(module, {})
        for base, name in _imported(module, path):
            target = f"{base}.{name}" if f"{base}.{name}" in modules else base
            if target in modules and target != module:
                found.setdefault(target, set()).add(name)
    return imports


def cycles(imports: Imports) -> list[list[str]]:
    """Return the strongly connected components of more than one module, each sorted."""
    reachable = {module: _reachable(module, imports) for module in imports}
    components = {
        tuple(sorted(other for other in reached if module in reachable[other]))
        for module, reached in reachable.items()
        if module in reached
    }
    return [list(component) for component in sorted(components)]


def describe(component: list[str], imports: Imports) -> list[str]:
    """Return one line for each import inside a component, with the names imported."""
    return [
        f"  {module} imports {', '.join(sorted(names))} from {target}"
        for module in component
        for target, names in sorted(imports[module].items())
        if target in component
    ]


def _module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(module: str, path: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import statement, wherever it is in the file."""
    inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                base, _, name = alias.name.rpartition(".")
                yield (base, name) if base else (name, name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = inside.split(".")[: len(inside.split(".")) - node.level + 1]
                base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield base, alias.name


def _reachable(start: str, imports: Imports) -> set[str]:
    """Return the modules that `start` imports, directly or not; itself only by a circle."""
    seen: set[str] = set()
    waiting = list(imports[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += imports[module]
    return seen


def main() -> int:
    """Print each circle with the names imported; return 1 if there is one."""
    imports = read_imports(ROOT)
    found = cycles(imports)
    for component in found:
        print(f"Import cycle of {len(component)} modules:")
        print("\n".join(describe(component, imports)))
    if found:
        print(f"{len(found)} import cycle(s); move the shared names to a module below both.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
