"""Sources and sinks by URL. A source gives chunks of samples, a sink takes lines; neither knows what a model is."""
