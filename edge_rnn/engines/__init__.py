"""The engines; `edge_rnn.engine.open_engine` opens one by name."""
