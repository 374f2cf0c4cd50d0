"""How linear maps are applied, where that takes more than a line."""
