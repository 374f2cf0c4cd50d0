"""What verifex is tested with. A package, so that helpers and scripts are imported by one name."""
