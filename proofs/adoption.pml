/* A guest that runs without a lock gets one, while another host may start a guest on its disk.
 *
 * The first guest was started before anything was locked. `lockd adopt` reads its pid and its start
 * time from libvirt's description, takes the lock for it, and watches the process: libvirt has no
 * connection that would tell of its end. The pid of a process that has ended may be given to
 * another, which does not end. Until the lock is taken both guests may write, which is why one
 * adopts; lockd says so when it is asked.
 *
 * Invariant: once adopt has said that the disk is locked, no other guest writes while this one does;
 *            and it says that another has the lock only if another has it.
 * Progress:  the lock of a guest that has ended is released, even if another process has its pid by then.
 */

#define GUEST 1		/* start times; 0 is that of no process */
#define STRANGER 2

mtype = { FREE, OURS, THEIRS };
mtype = { NOTHING, LOCKED, REFUSED, GONE };

mtype lock = FREE;
mtype said = NOTHING;
byte at_pid = GUEST;	/* the start time of the process that has the pid */
byte watched;		/* the start time of the process that is watched */
bool writes = true;	/* the first guest */
bool other_writes;

inline say(what)
{
	atomic {
		said = what;
		if
		:: what == LOCKED -> printf("adopt: the disk is locked\n")
		:: what == REFUSED -> printf("adopt: another has the lock\n")
		:: else -> printf("adopt: the guest has ended\n")
		fi
	}
}

active proctype adopt()
{
	byte started = 0;
	atomic {
		at_pid == GUEST -> started = at_pid;
		printf("adopt: reads the pid and the start time\n")
	};
#ifdef SAY_FIRST
	say(LOCKED);
#endif
	if
	:: atomic { lock == FREE -> lock = OURS; printf("adopt: takes the lock\n") }
	:: lock == THEIRS ->
#ifndef SAY_FIRST
		say(REFUSED);
#endif
		goto end
	fi;
#ifndef SAY_FIRST
	say(LOCKED);
#endif
	/* A pidfd is of the process that has the pid now. */
#ifdef NO_WATCH
	goto end;
#endif
	if
	:: atomic { at_pid != 0 -> watched = at_pid }
	:: atomic { at_pid == 0 -> watched = 0 }
	fi;
#ifndef NO_START_TIME
	if
	:: watched != started -> watched = 0
	:: else
	fi;
#endif
	/* It has ended, or it will. */
	atomic { (watched == 0 || watched != at_pid) ->
		    lock = FREE; printf("lockd: releases the lock of a guest that has ended\n") };
end:	skip
}

active proctype guest()
{
end:	atomic { writes = false; at_pid = 0; printf("guest: has ended\n") };
	/* The pid is taken again, or not. */
	if
	:: atomic { at_pid = STRANGER; printf("another process gets its pid\n") }
	:: skip
	fi
}

active proctype other()
{
end:	do
	:: atomic { lock == FREE -> lock = THEIRS; other_writes = true;
		    printf("other: locks the disk and writes\n");
		    assert(!(writes && said == LOCKED)) };
		atomic { other_writes = false; lock = FREE; printf("other: has ended\n") }
	od
}

active proctype monitor()
{
end:	do
	:: atomic { (writes && said == LOCKED) -> assert(!other_writes) }
	od
}

#ifdef PROGRESS
ltl released { [] ((!writes && lock == OURS) -> <> (lock != OURS)) }
#endif
