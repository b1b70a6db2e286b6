"""Texts cut into chunks: where a unit ends, what a token costs, what fits together."""
