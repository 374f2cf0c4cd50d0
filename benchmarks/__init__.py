"""What verifex is measured with: scripts, run from the root as `python -m benchmarks.NAME`."""
