"""Trained int8 models on real recordings, 10,000 steps: onnxruntime gives the bits of the integer engine throughout."""

import numpy as np
import onnx
import onnx.reference
import pytest
from bit_exact import assert_same_bits, session
from edge_rnn.export.calibration import Calibration
from edge_rnn.export.checkpoint import Checkpoint
from edge_rnn.export.quantize import quantize
from edge_rnn.export.recipes import open_dataset
from edge_rnn.export.source import from_checkpoint
from edge_rnn.export.to_onnx import to_onnx
from int8_models import GOLDEN

from edge_rnn.errors import DataError
from edge_rnn.graph import Graph

pytestmark = pytest.mark.slow
MODELS = GOLDEN.parent / "models"
STEPS = 10_000
OTHERS = ["watch_fastgrnn32", "watch_mlp12", "watch_cnn12"]


def trained(name: str, bits: int) -> Graph:
    source = from_checkpoint(Checkpoint.load(MODELS / f"{name}.pt"))
    calibration = Calibration(source.samples, source.starts, source.max_abs, source.lsb)
    return quantize(source.graph, calibration, bits=bits).graph


def recording(name: str, streams: int, steps: int) -> np.ndarray:
    """(T, N, I) samples of people the model never saw, recording after recording."""
    try:
        data = open_dataset(name.split("_")[0]).test
    except DataError as error:
        pytest.skip(f"the recordings are not here: {error}")
    return data.values()[: steps * streams].reshape(streams, steps, -1).swapaxes(0, 1)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", ["hapt_gru32", "watch_gru32", "watch_lstm32", "watch_rnn32", *OTHERS])
def test_a_trained_model_has_the_same_bits_over_10000_real_steps(name, bits):
    graph = trained(name, bits)
    opened = session(to_onnx(graph, {}))
    assert_same_bits(graph, recording(name, 1, STEPS), lambda feeds: opened.run(None, feeds))


@pytest.mark.parametrize("name", ["hapt_gru32", "watch_lstm32", "watch_rnn32"])
def test_three_streams_without_optimisation_have_the_same_bits_over_2000_steps(name):
    graph = trained(name, 8)
    opened = session(to_onnx(graph, {}), optimised=False)
    assert_same_bits(graph, recording(name, 3, 2000), lambda feeds: opened.run(None, feeds))


@pytest.mark.parametrize("name", ["watch_gru32", "watch_lstm32", "watch_rnn32"])
def test_the_reference_evaluator_of_onnx_has_the_same_bits_over_200_steps(name):
    graph = trained(name, 8)
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_from_string(to_onnx(graph, {})))
    x = recording(name, 1, 200)
    x[150:] *= np.float32(1000)
    assert_same_bits(graph, x, lambda feeds: evaluator.run(None, feeds))
