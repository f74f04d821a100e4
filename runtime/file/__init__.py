"""Video through an engine: sources give frames, the pipeline infers and times, sinks keep what comes of it.

Pictures stay the decoder's planes up to the encoder; only the network's small input becomes RGB.
"""
