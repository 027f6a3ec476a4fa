"""What a detector is, and which are admitted."""
