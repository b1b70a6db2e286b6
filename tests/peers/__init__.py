"""Peers that the suite starts on loopback: real servers where there are some, scripted ones for faults."""
