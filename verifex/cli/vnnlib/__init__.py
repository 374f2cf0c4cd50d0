"""The program `verifex-vnnlib`: queries of the VNN-LIB standard, instances of VNN-COMP."""
