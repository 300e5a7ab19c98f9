"""Tests of what the wheels are checked for before they are published."""
