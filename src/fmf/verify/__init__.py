"""Verifying a run: what its files, its ledger and its record say must be one story."""
