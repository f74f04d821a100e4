"""From a RUN folder to a contract graph in ONNX, held against PyTorch. The only part of export that needs torch."""
