"""Report formats: text, JSON, and SARIF 2.1.0 (OASIS), which code hosts show in the code."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mcpgw import __version__
from mcpgw.text.plural import plural
from mcpgw.validation.model import ORDER, Result, Severity
from mcpgw.validation.report import Broken, Report, ToolReport, grade, printable
from mcpgw.validation.rules import RULES

SARIF: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_COLOURS: Final = {"FAIL": 31, "WARN": 33, "INFO": 36, "PASS": 32}
_LEVELS: Final = {"FAIL": "error", "WARN": "warning", "INFO": "note"}


def as_text(report: Report, least: Severity, *, colour: bool = False) -> str:
    """Return a report as text."""
    lines: list[str] = []
    for tool in report.tools:
        lines.append(f"{printable(tool.tool.name)}  {grade(tool.score)} ({tool.score:.2f})")
        for result in _shown(tool, least):
            mark = result.severity
            if colour:
                mark = f"\033[{_COLOURS[mark]}m{mark}\033[0m"  # type: ignore[assignment]
            place = printable(tool.tool.file) + (f":{result.line}" if result.line else "")
            lines.append(f"  [{mark}] {result.code} {RULES[result.code][0]} {place}")
            lines += [f"      {printable(issue)}" for issue in result.issues]
            if result.hint:
                lines.append(f"      {printable(result.hint)}")
    for kind, found in (("ERROR", report.broken), ("WARN", report.notes)):
        for each in found if kind == "ERROR" or ORDER[least] <= ORDER["WARN"] else ():
            place = printable(each.file) + (f":{each.line}" if each.line else "")
            lines.append(f"[{kind}] {each.code} {place}: {printable(each.message)}")
    count = len(report.tools)
    total = f"{report.grade} ({report.score:.2f})" if count else "none"
    lines.append(f"{plural(count, 'tool')}: {total}; {plural(len(report.broken), 'file error')}")
    return "\n".join(lines)


def as_json(report: Report, least: Severity) -> dict[str, Any]:
    """Return a report as JSON data."""
    return {
        "score": report.score,
        "grade": report.grade if report.tools else None,
        "tools": [
            {
                "name": tool.tool.name,
                "file": tool.tool.file,
                "score": tool.score,
                "grade": grade(tool.score),
                "severity": tool.worst,
                "results": [_result(result) for result in _shown(tool, least)],
            }
            for tool in report.tools
        ],
        "faults": [_broken(each) for each in report.broken],
        "warnings": [_broken(each) for each in report.notes],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "code": result.code,
        "rule": RULES[result.code][0],
        "severity": result.severity,
        "score": result.score,
        "line": result.line,
        "issues": list(result.issues),
        "hint": result.hint,
    }


def _broken(each: Broken) -> dict[str, Any]:
    return {"file": each.file, "line": each.line, "code": each.code, "message": each.message}


def as_sarif(report: Report, least: Severity) -> dict[str, Any]:
    """Return a report as SARIF data."""
    codes = dict.fromkeys(each.code for each in (*report.broken, *report.notes))
    rules = [
        {
            "id": code,
            "name": name,
            "shortDescription": {"text": about},
            "help": {"text": about},
            "defaultConfiguration": {"level": "warning"},
        }
        for code, (name, about) in RULES.items()
    ]
    rules += [
        {
            "id": code,
            "name": "capability-file",
            "shortDescription": {"text": "Structure of the file."},
        }
        for code in codes
    ]
    return {
        "$schema": SARIF,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "mcp-gateway validate",
                        "version": __version__,
                        "informationUri": "https://pypi.org/project/mcpgw/",
                        "rules": rules,
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": list(_sarif_results(report, least)),
            }
        ],
    }


def _sarif_results(report: Report, least: Severity) -> Iterator[dict[str, Any]]:
    for tool in report.tools:
        for result in _shown(tool, least):
            text = "; ".join(printable(issue) for issue in result.issues)
            yield _sarif(result.code, _LEVELS[result.severity], text, tool.tool.file, result.line)
    for level, found in (("error", report.broken), ("warning", report.notes)):
        for each in found:
            yield _sarif(each.code, level, printable(each.message), each.file, each.line)


def _sarif(code: str, level: str, text: str, file: str, line: int | None) -> dict[str, Any]:
    path = Path(file)
    uri = Path(os.path.relpath(path)).as_posix() if path.is_absolute() else path.as_posix()
    mark = hashlib.sha256(f"{code}\0{uri}\0{text}".encode()).hexdigest()[:32]
    return {
        "ruleId": code,
        "level": level,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri},
                    "region": {"startLine": line or 1},
                }
            }
        ],
        "partialFingerprints": {"mcpgw/v1": mark},
    }


def _shown(tool: ToolReport, least: Severity) -> Iterator[Result]:
    for result in tool.results:
        if result.severity != "PASS" and ORDER[result.severity] >= ORDER[least]:
            yield result
