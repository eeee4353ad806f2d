"""The pure model: facts of a host in, what is locked and who excludes whom out."""
