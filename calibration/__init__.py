"""Activation ranges. Works on ONNX; imports no torch."""
