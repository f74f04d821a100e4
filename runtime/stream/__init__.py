"""Video through an engine: sources, overlay, sinks, timing."""
