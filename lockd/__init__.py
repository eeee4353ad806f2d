"""The lock engine: holds the locks of running guests, in the place of libvirt's ``virtlockd``.

It is a program, not a library: ``lockd --help``, and ``docs/explanation/lockd.md`` for how it
works.
"""

__version__ = "0.1.0"
