"""The process that serves local clients: started by clients.py as a plain script, with the standard library alone.

    python -I fanout.py LISTENING_FD DAEMON_FD

Every client gets each event as a JSON line; one that sends `status` gets the daemon's status as one. It never waits for
a client: one that does not read, floods or sends garbage is disconnected.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import socket
import sys

MOST_CLIENTS = 2000
MOST_UNREAD = 1 << 18
LONGEST_LINE = 4096
MOST_GARBAGE = 10
READ_BYTES = 4096
NICE = 10


class Client:
    """One connection."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.unread = b""
        self.half = b""
        self.garbage = 0


class Fanout:
    """The loop; it ends when the daemon's end of the pair closes."""

    def __init__(self, listener: socket.socket, daemon: socket.socket) -> None:
        self._listener, self._daemon = listener, daemon
        self._clients: set[Client] = set()
        self._status = b'{"type":"status"}\n'
        self._poll = selectors.DefaultSelector()
        for one in (listener, daemon):
            one.setblocking(False)
            self._poll.register(one, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve."""
        while True:
            for key, ready in self._poll.select():
                if key.fileobj is self._daemon:
                    if not self._hear_daemon():
                        return
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._serve(key.data, ready)

    def _hear_daemon(self) -> bool:
        while True:
            try:
                message = self._daemon.recv(1 << 20)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not message:
                return False
            if message[:1] == b"S":
                self._status = message[1:] + b"\n"
                continue
            for client in list(self._clients):
                self._send(client, message[1:] + b"\n")

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MOST_CLIENTS:
            peer.close()
            return
        peer.setblocking(False)
        client = Client(peer)
        self._clients.add(client)
        self._poll.register(peer, selectors.EVENT_READ, client)

    def _serve(self, client: Client, ready: int) -> None:
        if client not in self._clients:
            return
        if ready & selectors.EVENT_WRITE:
            self._send(client, b"")
        if ready & selectors.EVENT_READ and client in self._clients:
            self._hear(client)

    def _hear(self, client: Client) -> None:
        try:
            data = client.peer.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._leave(client)
            return
        *lines, client.half = (client.half + data).split(b"\n")
        for line in lines:
            if line.strip() == b"status":
                self._send(client, self._status)
            else:
                client.garbage += 1
        if client.garbage > MOST_GARBAGE or len(client.half) > LONGEST_LINE:
            self._send(client, json.dumps({"type": "error", "reason": "expected: status"}).encode() + b"\n")
            self._leave(client)

    def _send(self, client: Client, data: bytes) -> None:
        if client not in self._clients:
            return
        client.unread += data
        try:
            sent = client.peer.send(client.unread) if client.unread else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._leave(client)
            return
        client.unread = client.unread[sent:]
        if len(client.unread) > MOST_UNREAD:
            self._leave(client)
            return
        interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unread else 0)
        self._poll.modify(client.peer, interest, client)

    def _leave(self, client: Client) -> None:
        if client in self._clients:
            self._clients.discard(client)
            self._poll.unregister(client.peer)
            client.peer.close()


if __name__ == "__main__":
    with contextlib.suppress(OSError, ValueError):  # a sandbox forbids it: then there is room for fewer clients
        os.nice(NICE)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(MOST_CLIENTS + 64, hard), hard))
    Fanout(*(socket.socket(fileno=int(fd)) for fd in sys.argv[1:3])).run()
