"""What can be seen of runs: log lines, metrics, tokens and cost."""
