"""Segments archives: sources become clips, workers segment them, and each source's clips are joined to its results.

Plain functions plan, segment and join; a crew runs them, in this process or by Ray. What is done lies in the output
folder, so that a batch which is killed goes on where it was.
"""
