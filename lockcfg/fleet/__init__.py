"""Many hosts: what each has told, which of them exclude each other, and what to change first."""
