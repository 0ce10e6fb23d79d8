"""Pinning of capability files: writing the pin and approving the file."""

from __future__ import annotations

from pathlib import Path

from mcpgw.capabilities.entries import is_utf8_path
from mcpgw.capabilities.parsing import LARGEST
from mcpgw.capabilities.pins import canonical, content_hash, with_pin


def pin_file(path: Path, folder: Path, *, data: bytes | None = None) -> str:
    """Write a file with its pin, approve it and return its hash.

    Args:
      path: the file.
      folder: the state folder.
      data: new contents of the file; by default it keeps its own.

    Raises:
      ValueError: the file cannot be read, parsed or written.
    """
    from mcpgw.config.yamlfile import YamlSyntaxError, parse
    from mcpgw.state.database import StateError
    from mcpgw.state.files import write_atomically
    from mcpgw.trust.approvals import ApprovalStore, ApprovedFile

    if not is_utf8_path(path.parent.resolve() / path.name):
        raise ValueError(f"the name of {path} must be UTF-8; rename it")
    try:
        contents = path.read_bytes() if data is None else data
        document = parse(canonical(contents).decode("utf-8-sig"))
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be UTF-8") from None
    except YamlSyntaxError as error:
        raise ValueError(f"{path}:{error.line or 1}: {error.message}") from None
    if len(contents) > LARGEST or not isinstance(document, dict):
        raise ValueError(f"{path} is not a capability file")
    if not {"providers", "webhooks"} & document.keys():
        raise ValueError(f"{path} is not a capability file: it has no `providers`")
    pinned = with_pin(contents)
    name = str(document.get("name") or path.stem)
    try:
        if pinned != contents or data is not None:
            write_atomically(path, pinned, mode=mode)
        place = path.parent.resolve() / path.name
        approved = ApprovedFile(str(place), name, content_hash(pinned), pinned=True)
        ApprovalStore.of(folder).pin_file(approved)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None
    except StateError as error:
        raise ValueError(
            f"{path} is pinned, but its approval could not be stored: {error}"
        ) from None
    return content_hash(pinned)
