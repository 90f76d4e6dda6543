"""Weights of unknown origin through every variant, and the golden vectors too, under AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from .int8_models import GOLDEN_NAMES
from .kernel_files import CC, HOST, PORTABLE, ROOT, SANITIZE_SIMD, compile_kernel
from .test_kernel import golden_file, run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CC is None, reason="gcc is not installed")]
PROGRAMS = ROOT / "tests" / "c"
COUNT = int(os.environ.get("WEIGHTS_FUZZ_COUNT", 10_000))


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    folder, both = tmp_path_factory.mktemp("fuzz"), [PROGRAMS / "weights_fuzz.c", PROGRAMS / "replay.c"]
    return compile_kernel(folder, PORTABLE + HOST, both[0], SANITIZE_SIMD, more=(both[1],))


@pytest.mark.parametrize("seed", range(2))
def test_no_weights_lead_any_variant_astray(fuzz, seed):
    """A third of the graphs break a rule; the others run in all variants, int8 with the portable kernel's bits."""
    done = subprocess.run([fuzz, str(seed), str(COUNT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    taken, refused = map(int, re.match(r"(\d+) graphs run, (\d+) refused", done.stdout).groups())
    assert taken + refused == COUNT
    assert taken > 0.4 * COUNT
    assert refused > 0.1 * COUNT


def test_a_wrong_size_is_seen(tmp_path):
    """The negative control: a packer that reads one row too many is stopped."""
    source = (PROGRAMS / "weights_fuzz.c").read_text()
    broken = source.replace("at->b = bias_array(rows, hostile);", "at->b = bias_array(rows - 1, hostile);")
    assert broken != source
    (tmp_path / "broken.c").write_text(broken)
    program = compile_kernel(tmp_path, PORTABLE + HOST, tmp_path / "broken.c", SANITIZE_SIMD, simd=False)
    done = subprocess.run([program, "0", "200"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_variant_is_clean_under_sanitizers(fuzz, tmp_path, name):
    lines = run(fuzz.parent / "replay", golden_file(tmp_path / name, name)).splitlines()
    assert len(lines) >= 2
    assert all("3000 steps agree" in line for line in lines)
