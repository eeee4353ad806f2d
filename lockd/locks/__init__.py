"""Who may hold what: lockspaces, resources and owners, and the file systems that they are on."""
