"""Forks daemons for the kill rig: a line with a configuration in, the pid out, then the exit code.

Negative controls by the argument: with `split` the transaction is taken apart, with `normal` it is not flushed.
"""

import os
import sys
import time
from functools import partialmethod
from pathlib import Path

from edge_rnn.daemon import mqtt, run, store  # noqa: F401
from edge_rnn.daemon.records import Batch
from edge_rnn.engines import native, numpy  # noqa: F401


def split(self, batch):
    """State and cursor first, the events in a transaction of their own."""
    with self._lock:
        with self._transaction():
            self._write(Batch(places=batch.places))
        time.sleep(0.002)
        with self._transaction():
            self._write(Batch(batch.records, {}, batch.acked, batch.lost))


if sys.argv[1] == "split":
    store.Store.commit = split
elif sys.argv[1] == "normal":
    store.Store.__init__ = partialmethod(store.Store.__init__, synchronous="NORMAL")
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.close(0)
        os.dup2(2, 1)
        os._exit(run.run(Path(line.strip()), once=True))
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
