"""RUN folder to contract graph in ONNX, checked against PyTorch; the only part of export that needs torch."""
