"""The protocol of a verification: limits and data that are fixed before anybody knows the figures."""
