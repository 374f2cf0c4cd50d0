"""What several meanings share: the table class, array backends, forms over balls."""
