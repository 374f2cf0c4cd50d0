"""Data only: the spec language in two pages, its JSON schema, and ready specs."""
