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
mtype = { NOTHING, LOCKED, REFUSED };

mtype lock = FREE;
mtype said = NOTHING;
byte at_pid = GUEST;	/* the start time of the process that has the pid */
byte watched;		/* the start time of the process that is watched */
bool writes = true;	/* the first guest */
bool other_writes;

#ifdef NO_START_TIME
#define is_another(process) (process == 0)
#else
#define is_another(process) (process != started)
#endif

inline say_that_it_is_locked()
{
	atomic {
		said = LOCKED; printf("adopt: the disk is locked\n");
		assert(!(writes && other_writes))
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
	say_that_it_is_locked();
#endif
	if
	:: atomic { lock == FREE -> lock = OURS; printf("adopt: takes the lock\n") }
	:: atomic { lock == THEIRS -> printf("adopt: another has the lock\n");
#ifndef SAY_FIRST
		    said = REFUSED;
#endif
		    assert(other_writes) };
		goto end
	fi;
#ifndef SAY_FIRST
	say_that_it_is_locked();
#endif
#ifdef NO_WATCH
	goto end;
#endif
	/* A pidfd is of the process that has the pid now; 0 if there is none. */
	watched = at_pid;
	/* It has ended, or it will. */
	atomic { (is_another(watched) || watched != at_pid) ->
		    lock = FREE; printf("lockd: releases the lock of a guest that has ended\n");
		    assert(!writes) };
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

#ifdef PROGRESS
ltl released { [] ((!writes && lock == OURS) -> <> (lock != OURS)) }
#endif
