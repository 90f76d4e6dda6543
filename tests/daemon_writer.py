"""What the power-cut rig records: a store that commits events, state and cursor, and says so after each commit.

daemon_writer.py FOLDER SYNCHRONOUS COMMITS: commit n holds event n and cursor n; the file `acknowledged` beside the
store gets a byte for each.
"""

import sys
from pathlib import Path

from edge_rnn.daemon.records import Batch, Place, Record
from edge_rnn.daemon.store import Store

folder, synchronous, commits = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = Store(folder / "state", synchronous)
store.keep_for({"a": 1 << 40})
with (folder / "acknowledged").open("wb", buffering=0) as acknowledged:
    for n in range(1, commits + 1):
        place = Place(1, "d", n, False, n.to_bytes(4, "little") * 150)
        batch = Batch([Record("p", f"start:{n}", f'{{"type":"start","id":"{n}","i":{n}}}')], {"p": place})
        if n % 100 == 0:
            batch.acked = {"a": n - 50}
        store.commit(batch)
        acknowledged.write(b".")
