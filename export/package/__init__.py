"""Model packages: the folder that a network ships as, and its card."""
