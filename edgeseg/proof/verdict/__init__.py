"""The proof: an engine against its reference on labelled images, as a verdict and a page."""
