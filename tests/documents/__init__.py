"""Tests that the documents and the notes are right."""
