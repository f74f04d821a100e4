"""Synthetic endoscopy: mucosa, folds, vessels, polyps, light and camera, with exact masks; the same from the same seed.

`stills.render_scene` makes one picture, `folders.write_dataset` a data set, `clip.write_clip` a video. What lives here
needs numpy and OpenCV alone (and PyAV for clips); it knows nothing of networks.
"""
