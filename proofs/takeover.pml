/* A lock that becomes one of another kind while its guest writes.
 *
 * virtlockd has POSIX locks, which are the process's; lockd has open-file-description locks, which
 * are the open file's. When lockd takes over from virtlockd it is the same process, and turns each
 * lock into one of its own kind; when it hands back, the other way round (BACK). The two kinds
 * exclude each other, even in one process. Shared locks exclude no shared ones.
 *
 *   1  make the old one shared      3  unlock the old one
 *   2  take the new one, shared     4  make the new one exclusive
 *
 * Others try all the time, exclusively and shared. The process may be killed between any two steps:
 * a POSIX lock ends with it. The other kind ends too while lockd has no keeper, and stays if there
 * is one, which has the file open (KEPT).
 *
 * Invariant: while the guest writes and lockd lives, no other process has the lock exclusively; and what
 * lockd says that it holds, it holds exclusively, and no other process has a lock of any kind.
 */

mtype = { NONE, SHARED, EXCLUSIVE };
mtype = { UNKNOWN, HELD, TAKEN };

#ifdef BACK
#define old ofd
#define new posix
mtype posix = NONE, ofd = EXCLUSIVE;	/* the locks of the daemon */
#else
#define old posix
#define new ofd
mtype posix = EXCLUSIVE, ofd = NONE;	/* the locks of the daemon */
#endif
mtype others[2] = NONE;			/* those of two other hosts */
mtype said = UNKNOWN;
bool lives = true;
#ifdef KEPT
bool kept = true;
#else
bool kept = false;
#endif

mtype left = NONE;			/* what was locked when the process was killed */

#define nobody_else (others[0] == NONE && others[1] == NONE)

active proctype daemon()
{
	{
		/* To take the new one at once fails: the old one is in its way. */
#ifdef UNLOCK_FIRST
		atomic { old = NONE; printf("daemon: unlocks the old lock\n") };
		if
		:: atomic { nobody_else -> new = EXCLUSIVE; said = HELD }
		:: atomic { !nobody_else -> said = TAKEN }
		fi;
#else
		atomic { old = SHARED; printf("daemon: makes the old lock shared\n") };
		atomic { new = SHARED; printf("daemon: takes the new lock, shared\n");
			 assert(others[0] != EXCLUSIVE && others[1] != EXCLUSIVE) };
		atomic { old = NONE; printf("daemon: unlocks the old lock\n") };
#ifdef STAYS_SHARED
		said = HELD;
#else
		if
		:: atomic { nobody_else -> new = EXCLUSIVE; said = HELD;
			    printf("daemon: makes the new lock exclusive\n");
			    assert(others[0] == NONE && others[1] == NONE) }
		:: atomic { !nobody_else -> said = TAKEN; printf("daemon: another has it\n") }
		fi;
#endif
#endif
		assert(said == TAKEN || (said == HELD && old == NONE));
end:		false
	}
	unless {
		atomic { !lives ->
			left = ofd;
			posix = NONE;
#ifdef CLOSED
			ofd = NONE;
#else
			ofd = (kept -> ofd : NONE);
#endif
			printf("daemon: killed\n") }
	}
}

#ifdef KILLED
active proctype killer()
{
end:	atomic { lives -> lives = false }
}
#endif

/* Another host: exclusive only if there is no lock, shared if there is no exclusive one. */
active [2] proctype other()
{
	byte me = _pid % 2;
end:	do
	:: atomic { (others[me] == NONE && others[1 - me] == NONE && posix == NONE && ofd == NONE) ->
		    others[me] = EXCLUSIVE; printf("other: locks exclusively\n");
		    assert(!lives && !(kept && left != NONE)) }
#ifdef SHARERS
	:: atomic { (others[me] == NONE && others[1 - me] != EXCLUSIVE &&
		     posix != EXCLUSIVE && ofd != EXCLUSIVE) ->
		    others[me] = SHARED; printf("other: locks shared\n");
		    assert(!(lives && said == HELD)) }
#endif
	:: atomic { others[me] != NONE -> others[me] = NONE; printf("other: unlocks\n") }
	od
}
