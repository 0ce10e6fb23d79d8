"""`mcp-gateway cap`: validates, pins, tests, searches, installs and imports capabilities."""

from __future__ import annotations

import click

from mcpgw.cli.cap import checking, importing, installing, listing, testing


@click.group("cap", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Manage capabilities: APIs as tools, in YAML files."""


for each in (
    checking.validate_command,
    checking.pin_command,
    checking.verify_command,
    listing.list_command,
    listing.registry_list_command,
    listing.registry_command,
    listing.search_command,
    listing.show_command,
    testing.test_command,
    installing.install_command,
    importing.import_command,
    importing.import_url_command,
):
    command.add_command(each)
