"""Networks as people have them, made on the spot, and the questions that newcomers ask of them."""
