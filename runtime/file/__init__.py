"""Segments files without loss: a source gives frames, the pipeline infers and times, sinks keep results.

Pictures stay the decoder's planes up to the encoder; only the network's small input becomes RGB.
"""
