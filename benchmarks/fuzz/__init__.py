"""Hostile files: real files of every kind that edgeseg reads, mutated, and what its readers make of them."""
