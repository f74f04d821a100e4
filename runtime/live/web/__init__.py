"""The page of a live stream: picture, state, figures and events for a browser; metrics and health for machines.

Loopback needs no token, every other address does. Nothing is loaded from elsewhere and nothing is built.
"""
