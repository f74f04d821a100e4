"""Counts what each rule of Q/DQ placement does to plans that TensorRT-RTX builds, and to the masks of a stand-in."""
