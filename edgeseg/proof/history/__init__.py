"""Verdicts of several versions side by side: what became better or worse from one to the next."""
