"""R4 for the whole daemon: its store's disk loses its power again and again; started by power_rig.run.

power_daemon.py FOLDER CONTROL CUTS SEED prints what was found, as JSON. The recording, the model and the consumer are
elsewhere; the consumer keeps what it was told before a cut.
"""

import json
import os
import random
import shutil
import sys
from functools import partial
from pathlib import Path

from daemon_rig import Zygote, complaints, told, write_config, write_model, write_recording
from power_rig import Disk, call, make_file_system, mounted
from waiting import until

from edge_rnn.daemon.store import Store

SAMPLES = 60_000


def told_too_early(state: Path, out: Path) -> list[str]:
    """What a consumer was told is durable: nobody computes it anew."""
    store = Store(state)
    row = store._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    store.close()
    early = len(told(out)) - (row[0] if row else 0)
    return [f"{early} events were told that are not durable"] if early > 0 else []


def cut(zygote: Zygote, disk: Disk, rng: random.Random, survivor: Path, out: Path, size: int, met: dict) -> None:
    """Cut the power once the consumer has so much, if the daemon has not ended by then."""
    until(lambda: zygote.ended() or out.stat().st_size >= size, 60)
    disk.order_cut(rng, survivor, out, operations=60, seconds=0.4)
    met.update(disk.await_cut())


def round_of_cuts(folder: Path, zygote: Zygote, model: Path, cuts: int, rng: random.Random) -> tuple[int, list[str]]:
    """Cut the power again and again until the recording is done. Returns cuts made, and what was wrong at the end."""
    state, out, image = folder / "state", folder / "out.jsonl", folder / "image"
    state.mkdir(parents=True)
    out.touch()
    recording = write_recording(folder / "x.npz", SAMPLES, rng.randrange(1 << 30))
    config = write_config(folder, source=recording, model=model, sink=f'url = "{out}"')
    make_file_system(image)
    made, acknowledged, code = 0, set(), None
    while True:
        disk, survivor, met = Disk(image, folder / f"disk{made}"), folder / f"survivor{made}", {}
        with mounted(disk.file, state):
            wrong = told_too_early(state, out)
            if not wrong:
                size = 0 if rng.random() < 0.3 else out.stat().st_size + 1
                moment = partial(cut, zygote, disk, rng, survivor, out, size, met) if made < cuts else None
                code = zygote.run(config, moment)
            if code is not None:
                assert code == 0, "the daemon ends well"
                wrong = complaints(state, model, recording, out, acknowledged)
        disk.close()
        if wrong or code is not None:
            shutil.rmtree(folder)
            return made, wrong
        survivor.rename(image)
        os.truncate(out, met["before"])  # what came later was told by a daemon that had no power
        made, acknowledged = made + 1, acknowledged | told(out)


def main(folder: str, control: str, cuts: str, seed: str) -> None:
    call("mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", folder)
    rng, zygote, made, rounds, wrong = random.Random(int(seed)), Zygote(control), 0, 0, []
    model = write_model(Path(folder) / "rig.ernn")
    while made < int(cuts) and not wrong:
        more, wrong = round_of_cuts(Path(folder) / str(rounds), zygote, model, int(cuts) - made, rng)
        made, rounds = made + more, rounds + 1
    print(json.dumps({"cuts": made, "rounds": rounds, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
