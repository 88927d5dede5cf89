"""What a process of a training shares with the others: ranks, collective steps, patience, events, fail points."""
