"""Activation ranges, and Q/DQ graphs made from them. Works on ONNX; imports no torch."""
