"""ONNX Runtime: it loads the ONNX graph of an engine and infers. Nothing here builds; edgeseg.export does."""
