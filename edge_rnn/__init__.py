"""edge_rnn: streaming inference of small recurrent networks on edge devices."""
