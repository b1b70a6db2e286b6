"""How much of the personal data in texts is found, and how much of what is found is personal."""

from benchmarks.personal.measure import main as main
