"""``lockd takeover`` and ``lockd handback``: put lockd in the place of a running virtlockd, and
virtlockd in the place of a running lockd, with all guests running and no lock free meanwhile.

Both check first whether the change can succeed, and change nothing if it cannot. Afterwards they
check each lock. The two daemons make the change itself (:mod:`lockd.daemon.virtlockd`).
"""
