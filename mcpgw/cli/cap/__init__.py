"""`mcp-gateway cap`: capability files: check, pin, look at, try, find, install and import them."""

from __future__ import annotations

import click

from mcpgw.cli.cap import checking, importing, installing, looking, trying


@click.group("cap", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Work with capability files: APIs as tools."""


for each in (
    checking.validate_command,
    checking.pin_command,
    checking.verify_command,
    looking.list_command,
    looking.registry_list_command,
    looking.registry_command,
    looking.search_command,
    looking.show_command,
    trying.test_command,
    installing.install_command,
    importing.import_command,
    importing.import_url_command,
):
    command.add_command(each)
