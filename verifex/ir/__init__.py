"""The intermediate representation: exact numbers, linear maps, ops, graphs, regions."""
