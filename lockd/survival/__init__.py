"""What outlives the process: the journal, the descriptors that are kept, and the next process."""
