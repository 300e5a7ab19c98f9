"""Programs that hang and programs that only look so, and what is said of each."""
