"""edge_rnn.export: training, quantization and export; for the workstation."""
