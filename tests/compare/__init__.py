"""Tests of the benchmarks, and of the comparison of a program on both libraries."""
