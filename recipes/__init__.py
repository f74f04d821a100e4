"""Recipes of trainings, and studies that compare them; TOML files that come with edgeseg and are found by name."""
