"""What a value becomes."""
