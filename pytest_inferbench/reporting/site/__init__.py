"""The history of results as static pages: a trend per case and metric, what changed where, two runs side by side."""
