"""`mcp-gateway cap`: capability files: check, pin, look at, try, find, install and import them."""

from __future__ import annotations

import click

from mcpgw.cli.cap import checking, importing, installing, listing, testing


@click.group("cap", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Work with capability files: APIs as tools."""


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
