"""Tests of futures and pools, and of `wait`, `as_completed`, `map` and asyncio, which use them."""
