"""What the power-cut rigs cut: a store that commits events, state and cursor, and says so after each commit.

daemon_writer.py FOLDER SYNCHRONOUS COMMITS ACKNOWLEDGED: goes on where the store stands; commit n holds event n and
cursor n; the file ACKNOWLEDGED gets a byte for each.
"""

import sys
from pathlib import Path

from edge_rnn.daemon.records import Batch, Place, Record
from edge_rnn.daemon.store import Store

folder, synchronous, commits, acknowledged = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
store = Store(folder, synchronous)
store.keep_for({"a": 1 << 40})
place = store.place("p")
begin = place.cursor if place else 0
with acknowledged.open("wb", buffering=0) as told:
    for n in range(begin + 1, begin + commits + 1):
        place = Place(1, "d", n, False, n.to_bytes(4, "little") * 150)
        batch = Batch([Record("p", f"start:{n}", f'{{"type":"start","id":"{n}","i":{n}}}')], {"p": place})
        if n % 100 == 0:
            batch.acked = {"a": n - 50}
        store.commit(batch)
        told.write(b".")
        if n % 150 == 0:
            store.tidy()
