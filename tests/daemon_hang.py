"""A daemon that can be made to hang: `daemon_hang.py FLAG CONFIG`; when the file FLAG appears it is read and obeyed.

deadlock: the step thread waits for a lock that nobody gives back; spin: it runs in circles; store: the committing
thread hangs. With EDGE_RNN_BLIND=1 the watchdog is pinged whatever happens: the negative control.
"""

import itertools
import os
import sys
import threading
from pathlib import Path

from edge_rnn.cli.main import main
from edge_rnn.daemon import lane, service, store

FLAG = Path(sys.argv[1])


def obey():
    if not FLAG.exists():
        return
    order = FLAG.read_text()
    if order == "deadlock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    while order == "spin":
        pass


def hanging_work(self, clock_ns, plain=lane.Lane.work):
    obey()
    return plain(self, clock_ns)


def hanging_commit(self, batch, plain=store.Store.commit):
    if FLAG.exists() and FLAG.read_text() == "store":
        threading.Event().wait()
    plain(self, batch)


lane.Lane.work = hanging_work
store.Store.commit = hanging_commit
if os.environ.get("EDGE_RNN_BLIND"):
    ticks = itertools.count()
    service.Service.beat = lambda self: (next(ticks), next(ticks))
sys.exit(main(["daemon", "--config", sys.argv[2]]))
