"""From a file to an engine: the only place that knows every backend."""
