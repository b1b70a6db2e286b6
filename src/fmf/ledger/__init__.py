"""The ledger of a run: what was asked, answered and paid, on the disk before it counts."""
