"""Speed as ratios measured in one run: ours against the naive form or a library's default."""
