"""Many hosts: what each of them told, which of them exclude each other, what to change first."""
