"""What a verdict says of itself: reasons, evidence, and the JSON that holds them."""
