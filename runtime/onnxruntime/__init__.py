"""One module a backend: how it loads an engine and infers. The builders of the same backends live in edgeseg.export."""
