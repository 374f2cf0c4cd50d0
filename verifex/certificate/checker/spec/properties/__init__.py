"""One file a property, with the argument why its formula says what the language says.

To add one: a file that ends with its `KIND` (keyword, other keys, and the function that makes a
formula of its table), and one line for that `KIND` in the list of `known.py`.
"""
