"""R4: a power cut at any moment loses nothing that was acknowledged, on ext4 over a disk with a volatile write cache.

A simulation: the disk is a file in user space (FUSE) under a loop device; a cut leaves what was flushed and any part of
the rest, by sectors and in any order. EDGE_RNN_CUTS sets how many cuts (default 100; the full promise is 1,000), of the
whole daemon a tenth of them.
"""

import os

import power_rig
import pytest

CUTS = int(os.environ.get("EDGE_RNN_CUTS", "100"))
SEED = 4
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def machine():
    missing = power_rig.what_is_missing()
    if missing:
        pytest.skip(f"a disk to cut the power of needs {missing}")


def cut(folder, capsys, what, synchronous, disk, cuts):
    found = power_rig.run("power_store.py", folder, synchronous, disk, cuts, SEED, timeout_s=120 + 5 * cuts)
    with capsys.disabled():
        size = f"{found['torn']} with writes in its cache, {found['commits']} commits, {found['flushes']} flushes"
        print(f"\nR4: {found['cuts']} cuts of {what} ({size}, seed {SEED}): {found['wrong'] or 'nothing'} wrong")
    return found


def test_r4_a_power_cut_loses_nothing_on_a_disk(tmp_path, capsys):
    found = cut(tmp_path, capsys, "a simulated disk under ext4", "FULL", "honest", CUTS)
    assert found["flushes"] > found["commits"] > CUTS / 2, "every commit is flushed"
    assert found["torn"] > CUTS / 5, "the cuts hit a disk at work"
    assert found["wrong"] == {}, found["told"]


def test_r4_sees_what_synchronous_normal_loses_on_a_disk(tmp_path, capsys):
    """The negative control."""
    found = cut(tmp_path, capsys, "it with NORMAL, the control,", "NORMAL", "honest", 16)
    assert found["wrong"].get("acknowledged commits lost", 0) > 4, found


def test_r4_sees_what_a_disk_loses_that_lies_about_its_flushes(tmp_path, capsys):
    """The other half of the control: this rig damages what nothing protects."""
    found = cut(tmp_path, capsys, "one that lies about its flushes, the other control,", "FULL", "lying", 12)
    assert sum(found["wrong"].values()) > 4, found
    assert found["wrong"].keys() - {"acknowledged commits lost"}, found


def cut_daemon(folder, capsys, what, control, cuts):
    found = power_rig.run("power_daemon.py", folder, control, cuts, SEED, timeout_s=120 + 20 * cuts)
    with capsys.disabled():
        size = f"{found['rounds']} recordings, seed {SEED}"
        print(f"\nR4: {found['cuts']} cuts of {what} ({size}): {found['wrong'] or 'nothing'} wrong")
    return found


def test_r4_a_power_cut_takes_nothing_back_that_the_daemon_told(tmp_path, capsys):
    found = cut_daemon(tmp_path, capsys, "the whole daemon on that disk", "", max(CUTS // 10, 1))
    assert found["wrong"] == [], found["told"]


def test_r4_sees_what_a_daemon_with_synchronous_normal_told_too_early(tmp_path, capsys):
    """The negative control."""
    found = cut_daemon(tmp_path, capsys, "a daemon with NORMAL, the control, up to the first seen", "normal", 20)
    assert len(found["wrong"]) == 1, found
    assert found["wrong"][0].endswith("events were told that are not durable")
