"""Questions of independent making: own networks, own exact evaluation, own decision of truth."""
