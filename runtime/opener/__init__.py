"""Opens an engine from its file, whatever it is opened for; only this room joins backends and workers."""
