"""From PyTorch to ONNX and from ONNX to engines, one builder a backend; engine builders import no torch."""
