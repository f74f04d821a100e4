"""Signatures of passports and verdicts: key files, DSSE envelopes, in-toto statements.

All cryptography is that of securesystemslib and cryptography; nothing here computes any.
"""
