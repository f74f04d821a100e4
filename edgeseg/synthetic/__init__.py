"""Synthetic endoscopy: mucosa, folds, vessels, polyps, light and camera, with exact masks; the same from the same seed."""
