"""The command `radius`: what it asks, and how its answers are printed."""
