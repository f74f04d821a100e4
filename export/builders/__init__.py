"""One module a backend: ONNX in, engine bytes out. The sessions of the same backends live in edgeseg.runtime."""
