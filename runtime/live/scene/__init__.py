"""Judges a live picture and how far to trust it: visible region, static text, gate, stabilisation, drift watch.

Pure functions and small state objects on arrays that were reduced to a few hundred pixels (`SmallPicture`); settings
are frozen, each threshold has its name and its reason. No threads, no clock and no engine live here.
"""
