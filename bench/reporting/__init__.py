"""What the benchmarks of the collector share: reports, the servers that take them, load."""
