"""Chains: from files to questions, from answers to rows."""
