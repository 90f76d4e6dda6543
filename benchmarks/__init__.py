"""Speed, measured against others in the same process: `python -m benchmarks`. See docs/performance.md."""
