"""How fast an engine is here: latency, paced and unpaced, stages, throughput, distance from the hardware's bound.

Pure functions for the rules; `bench.py` strings them together. Nothing here judges accuracy: that is verify/.
"""
