"""What several folders of tests share: a test module imports from here, never from another."""
