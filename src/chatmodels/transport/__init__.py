"""The seam where bytes leave for a provider: requests out, replies back, within their time limits."""
