"""Scopes and groups of tasks."""
