"""One file a property, with the argument why its formula says what the language says."""
