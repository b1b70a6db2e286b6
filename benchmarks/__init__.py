"""Speed and memory of the system, measured from outside: `python -m benchmarks`."""
