"""What outlives the process: the journal, the kept descriptors, and the next process."""
