"""Check that every known MCP server still exists in its registry (npm, PyPI).

    python scripts/check_known_servers.py [--sample N] [--write]

Prints packages that are gone, deprecated or could not be checked; the exit status is 1 if any
are gone. `--write` updates the date of verification in the data.
"""

from __future__ import annotations

import argparse
import datetime
import random
import re
import sys
from urllib.parse import quote

import attrs
import httpx
import trio

from mcpgw.known_servers import DATA, KnownServer, known_servers

NPM = "https://registry.npmjs.org"
PYPI = "https://pypi.org"
AT_ONCE = 8


@attrs.frozen
class Finding:
    """The state of a server in its registry: `there`, `gone`, `deprecated` or `unknown`."""

    server: KnownServer
    state: str
    text: str = ""


async def look_up(
    client: httpx.AsyncClient, server: KnownServer, *, npm: str = NPM, pypi: str = PYPI
) -> Finding:
    """Look up a server's package in its registry."""
    name = quote(server.package, safe="@")
    url = f"{npm}/{name}/latest" if server.registry == "npm" else f"{pypi}/pypi/{name}/json"
    try:
        answer = await client.get(url)
        if answer.status_code == 404:
            return Finding(server, "gone", url)
        answer.raise_for_status()
        data = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        return Finding(server, "unknown", f"{url}: {error}")
    if server.registry == "npm":
        if data.get("deprecated"):
            return Finding(server, "deprecated", str(data["deprecated"])[:100])
        return Finding(server, "there", str(data.get("version")))
    info = data.get("info") or {}
    if info.get("yanked"):
        return Finding(server, "deprecated", "its newest version was withdrawn")
    return Finding(server, "there", str(info.get("version")))


async def check(servers: list[KnownServer], *, npm: str = NPM, pypi: str = PYPI) -> list[Finding]:
    """Look up servers, several at once."""
    found: list[Finding] = []
    limit = trio.CapacityLimiter(AT_ONCE)

    async def one(server: KnownServer) -> None:
        async with limit:
            found.append(await look_up(client, server, npm=npm, pypi=pypi))

    async with httpx.AsyncClient(timeout=30.0) as client, trio.open_nursery() as nursery:
        for server in servers:
            nursery.start_soon(one, server)
    return sorted(found, key=lambda each: each.server.name)


def renewed(text: str, names: set[str], day: str) -> str:
    """Return the data with a new date of verification for these servers."""
    parts = re.split(r"(?m)^(?=- name: )", text)
    for place, part in enumerate(parts):
        name = re.match(r"- name: (\S+)", part)
        if name and name[1] in names:
            parts[place] = re.sub(r"(?m)^(  verified: ).*$", rf"\g<1>'{day}'", part)
    return "".join(parts)


def main() -> int:
    """Parse the command line, look up the servers, and print the findings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sample", type=int, metavar="N", help="check only N of them")
    parser.add_argument("--write", action="store_true", help="update the date of verification")
    flags = parser.parse_args()
    servers = [each for each in known_servers() if each.package]
    if flags.sample:
        servers = random.sample(servers, min(flags.sample, len(servers)))
    found = trio.run(lambda: check(servers))
    for each in found:
        if each.state != "there":
            print(f"{each.state}: {each.server.name} ({each.server.package}): {each.text}")
    there = {each.server.name for each in found if each.state == "there"}
    print(f"{len(there)} of {len(found)} exist")
    if flags.write:
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        DATA.write_text(renewed(DATA.read_text("utf-8"), there, day), "utf-8")
    return 1 if any(each.state == "gone" for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
