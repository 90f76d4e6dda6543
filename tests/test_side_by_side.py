"""Export shows both forms of a network beside each other."""

import numpy as np
from edge_rnn.export.bundle_writer import build_bundle
from edge_rnn.export.calibration import Calibration
from edge_rnn.export.quantize import quantize
from edge_rnn.export.side_by_side import side_by_side
from float_models import facts_of
from int8_models import float_graph

from edge_rnn.bundle import parse_bundle


def test_the_table_has_bytes_agreement_and_times_of_both_forms():
    rng = np.random.default_rng(0)
    graph = float_graph(rng, ["gru"], 3, 4, units=32)
    data = Calibration((rng.normal(0, 1, (300, 3)) * graph.arrays["std"]).astype(np.float32))
    blob = build_bundle(quantize(graph, data, input_scale="range").graph, facts_of(graph))
    found = side_by_side(graph, facts_of(graph), parse_bundle(blob), len(blob), data, 0.9987)
    assert found.weight_bytes["float32"] == sum(a.nbytes for a in graph.arrays.values())
    assert found.weight_bytes["int8"] < found.weight_bytes["float32"] / 2.5
    assert found.bundle_bytes["int8"] == len(blob) < found.bundle_bytes["float32"]
    assert all(us > 0 for us in found.step_p50_us.values())
    told = found.lines()
    assert len({len(line) for line in told}) == 1
    assert "99.87%" in told[-1]
    assert set(found.to_json()) == {"engine", "bundle_bytes", "weight_bytes", "step_p50_us", "agreement"}
