"""Tests of what a program may do with the types: look at them, derive from them, and replace their names."""
