"""Networks that others exported to ONNX, made into contract graphs and held against the file as it came. No torch."""
