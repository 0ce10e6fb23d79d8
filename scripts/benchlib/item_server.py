"""A fast HTTP API on a free port, which gives the same response to every request.

It prints its port, and exits when its stdin is closed.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Final

BODY: Final = b'{"text":"' + b"x" * 64 + b'"}'
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    + BODY
)


def serve(connection: socket.socket) -> None:
    """Answer GET requests on one connection until it ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    with connection:
        while chunk := connection.recv(65_536):
            data += chunk
            count = data.count(b"\r\n\r\n")
            if count:
                data = data[data.rindex(b"\r\n\r\n") + 4 :]
                connection.sendall(ANSWER * count)


def accept(listener: socket.socket) -> None:
    """Accept connections forever."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def main() -> None:
    """Serve until stdin is closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
    os._exit(0)


main()
