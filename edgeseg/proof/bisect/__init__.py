"""The first layer at which two graphs of a network disagree, and the likely cause."""
