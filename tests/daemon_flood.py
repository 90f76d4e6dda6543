"""Floods a Unix socket: daemon_flood.py PATH CLIENTS STALLED RATE SECONDS. Prints how many messages went out.

STALLED of the CLIENTS never read; the others send RATE lines of garbage a second together, and come again when they are
thrown out.
"""

import contextlib
import os
import random
import resource
import socket
import sys
import time

path, clients, stalled, rate, seconds = sys.argv[1], *map(int, sys.argv[2:6])
resource.setrlimit(
    resource.RLIMIT_NOFILE, (clients + 64, max(clients + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
)
os.nice(10)  # the flood itself must not be what takes the processor from the step thread


def join():
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(5)
    with contextlib.suppress(OSError):
        peer.connect(path)
    peer.setblocking(False)
    return peer


rng = random.Random(17)
silent = [join() for _ in range(stalled)]
loud = [join() for _ in range(clients - stalled)]
print("joined", flush=True)
began, sent = time.monotonic(), 0
while (now := time.monotonic()) < began + seconds:
    while sent < (now - began) * rate:
        at = rng.randrange(len(loud))
        try:
            loud[at].send(rng.randbytes(rng.randrange(1, 60)) + b"\n")
        except OSError:
            loud[at].close()
            loud[at] = join()
        sent += 1
    time.sleep(0.005)
print(sent, flush=True)
