"""A referee at the disk: real guests of several hosts want the same disks, and a file system sees
who writes.

=================  =============================================================
``disks``          the file system: a few images, and a record of every write
``writer.S``       what a guest runs: it writes its disk for as long as it lives
``record``         what the record says: whether two guests ever wrote in turns
``contest``        hosts that want the same disks, and faults meanwhile
=================  =============================================================
"""
