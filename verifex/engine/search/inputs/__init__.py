"""Branch and bound over input boxes, for networks with few inputs."""
