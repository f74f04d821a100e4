"""One module a backend: ONNX in, engine bytes out. `edgeseg.runtime` executes them."""
