"""What every family of properties leans on: the setting, names, the reference values."""
