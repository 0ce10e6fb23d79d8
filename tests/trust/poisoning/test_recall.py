"""Recall of the scanner, and its rate of false alarms on honest definitions.

The halves marked `held_out` were measured only after the rules had been settled.
"""

from __future__ import annotations

from mcpgw.trust.poisoning import scan_definition
from tests.trust.poisoning.corpus import entries, public_tools, scan, shares


def test_the_corpora_are_large_and_varied() -> None:
    """Each corpus has at least 150 entries, the poisoned one at least 15 families."""
    poisoned = entries("poisoned", held_out=False) + entries("poisoned", held_out=True)
    honest = entries("honest", held_out=False) + entries("honest", held_out=True)
    assert len(poisoned) >= 150
    assert len(honest) >= 150
    assert len({entry["family"] for entry in poisoned}) >= 15


def test_poisoned_definitions_are_found() -> None:
    """Of the definitions that the rules were made on, nine in ten are kept out."""
    high, found = shares([scan(entry) for entry in entries("poisoned", held_out=False)])
    assert high >= 0.95
    assert found >= 0.97


def test_unseen_poisoned_definitions_are_found() -> None:
    """Of poisoned definitions that the rules were not made on, most are kept out."""
    high, found = shares([scan(entry) for entry in entries("poisoned", held_out=True)])
    assert high >= 0.82
    assert found >= 0.87


def test_honest_definitions_that_sound_suspicious_are_let_in() -> None:
    """Definitions that speak of secrets, prompts and orders honestly are hardly ever accused."""
    high, found = shares([scan(entry) for entry in entries("honest", held_out=False)])
    assert high == 0.0
    assert found <= 0.06


def test_unseen_honest_definitions_are_let_in() -> None:
    """So are those that the rules were not made on."""
    high, found = shares([scan(entry) for entry in entries("honest", held_out=True)])
    assert high <= 0.035
    assert found <= 0.07


def test_public_servers_are_let_in() -> None:
    """Of the tools of public servers none is kept out."""
    high, found = shares([scan_definition("tool", tool) for tool in public_tools()])
    assert high == 0.0
    assert found <= 0.01
