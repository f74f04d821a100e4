"""Where engines run: the engine interface, its backends, files and live video.

Nothing here imports torch: an edge box has none.
"""
