"""Where engines run: backends that load and infer, the video pipeline (stream/), the proof (verify/).

Nothing here imports torch: an edge box has none.
"""
