"""The pure model: from the facts of hosts it tells what they lock and which of them exclude each
other."""
