"""What a process does while threads wait: it ends, forks, gets signals, collects garbage."""
