"""What a run looks like: figures from plain arrays, and one self-contained HTML page."""
