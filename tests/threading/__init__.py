"""Tests of the types of `threading`. Most of them run on the standard library too."""
