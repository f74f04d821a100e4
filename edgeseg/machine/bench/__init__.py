"""Measures how fast an engine is here: latency, paced and not, stages, throughput, distance from the bound.

Pure functions for the rules; `bench.py` strings them together. Accuracy is judged in `edgeseg.proof`.
"""
