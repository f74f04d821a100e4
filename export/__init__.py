"""PyTorch to ONNX, and ONNX to engines, one builder a backend; engine builders import no torch."""
