"""The on-device service: sources, pipelines and sinks in one process that loses nothing it acknowledged."""
