"""Quantisation-aware training: what an INT8 graph computes, in PyTorch, with gradients; nothing here reads a file."""
