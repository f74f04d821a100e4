"""Measures the CUDA runtime on a real GPU: `make gpu`, or `python -m benchmarks.gpu --help`.

One file a question (latency, throughput, kernels, peers, soak, probes); each is measured in a process of its own. Where
no TensorRT runs, the engine is torch's, named as the stand-in that it is. Nothing here is imported by edgeseg.
"""
