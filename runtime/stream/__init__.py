"""Video through an engine: sources give frames, the pipeline infers and times, sinks keep what comes of it.

Pictures are uint8 [H,W,3] in BGR from the decoder to the encoder; only the network's small input becomes RGB.
"""
