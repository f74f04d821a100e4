"""RUN folder to contract graph in ONNX, compared with PyTorch; the only part of export that needs torch."""
