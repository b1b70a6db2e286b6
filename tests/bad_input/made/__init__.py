"""Makes files by hand, byte by byte where that is what it takes to make them wrong."""
