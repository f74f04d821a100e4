"""Networks that others exported to ONNX, made into contract graphs and compared with the file as it came. No torch."""
