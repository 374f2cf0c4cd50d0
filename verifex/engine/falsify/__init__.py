"""Looking for points that violate a claim, and replaying them exactly."""
