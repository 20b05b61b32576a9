"""A server that sends bytes as they are, so that they need not be HTTP."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

RESET = b"\0reset"
"""As the last bytes of an answer: the connection is reset rather than closed."""


@contextlib.contextmanager
def run_raw(answers: Sequence[bytes], *, byte_s: float = 0.0) -> Iterator[str]:
    """Address of a server that gives one answer to each connection in turn, the last one to all further ones.

    byte_s: where it is not 0, seconds before each byte.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    left = list(answers)

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:  # closed: the block has ended
                return
            answer = left.pop(0) if len(left) > 1 else left[0]
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                whole = answer.removesuffix(RESET)
                for byte in whole if byte_s else b"":
                    time.sleep(byte_s)
                    connection.sendall(bytes([byte]))
                connection.sendall(b"" if byte_s else whole)
                if answer.endswith(RESET):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
