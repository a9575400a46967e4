"""What bench/processors.py measures with: generated mail, stages in memory, workers on a real broker."""
