"""What looks for anchors: hyperscan, google-re2, or Python alone."""
