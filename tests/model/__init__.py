"""Tests that do the same random steps on both libraries and compare the outcomes."""
