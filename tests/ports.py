"""A TCP or UDP port for whoever is started next, a server of another program or one that is started a second time.

It lies below those that the kernel gives away by itself (`ip_local_port_range`): between this question and the server's
start no connection of anybody's gets it, and a client that dials it while nobody listens does not reach itself.
"""

import random
import socket
from contextlib import suppress
from pathlib import Path

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port(kind=socket.SOCK_STREAM):
    first = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32768
    for _ in range(100):
        port = random.SystemRandom().randrange(max(first // 2, 1024), first)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port of a hundred is free")
