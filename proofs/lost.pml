/* A guest whose host cannot reach the file system of its lock, under the policy `pause`.
 *
 * The server takes the locks of a host away that it has not heard of for LEASE ticks, and may give
 * them to another. The host's lockd knows when it last heard of the server, and stops the guest
 * DEADLINE ticks after that. When the server answers again, lockd takes the lock again, and lets
 * the guest go on if no other host has had the lock meanwhile: a host that takes it leaves its own note.
 * Time goes on only when lockd has done what is due: that it is not late is what the watchdog is
 * for, and the model does not show it.
 *
 * Invariant: while the guest writes, no other does; and the guest does not go on with a disk that
 *            another has written.
 * Progress:  a guest goes on if the server answers and no other host has had its lock.
 */

#define LEASE 4
#ifdef LATE
#define DEADLINE LEASE
#else
#define DEADLINE 3
#endif

mtype = { FREE, OURS, THEIRS };

mtype lock = OURS;
bool cut;		/* the host cannot reach the server */
byte silence;		/* ticks since lockd has heard of it */
bool runs = true;	/* the guest */
#ifdef QUEUED
bool queued;		/* a request that is on its way to the server */
#endif
bool other_writes;
bool note = true;	/* in the lock file: is it still ours? */
bool written;		/* by another, whatever the note says */
bool for_good;		/* a person has to decide */

#ifdef HANGS
#define in_time true
#else
#define in_time (silence < DEADLINE || !runs)
#endif

active proctype clock()
{
end:	do
	:: atomic { (cut && in_time && silence <= LEASE) -> silence++; printf("a tick\n") }
	od
}

active proctype network()
{
#ifdef PROGRESS
	byte left = 3;		/* a network that always fails again promises nothing */
#else
#define left 1
#endif
end:	do
	:: atomic { (!cut && left > 0) -> cut = true;
#ifdef PROGRESS
		    left--;
#endif
		    printf("the server cannot be reached\n") }
	:: atomic { cut -> cut = false; printf("the server can be reached\n");
#ifdef QUEUED
		    if
		    :: queued -> queued = false; printf("a request of the guest arrives\n");
			    assert(!other_writes)
		    :: else
		    fi
#endif
		  }
	od
}

active proctype server()
{
end:	do
	:: atomic { (cut && silence >= LEASE && lock == OURS) -> lock = FREE;
		    printf("server: takes the lock away\n") }
	od
}

active proctype lockd()
{
end:	do
#ifndef HANGS
	:: atomic { (cut && silence == DEADLINE && runs) -> runs = false;
#ifdef GIVES_UP
		    for_good = true;
#endif
		    printf("lockd: stops the guest\n"); assert(cut && silence >= DEADLINE) }
#endif
	:: atomic { (!cut && silence > 0 && lock == OURS) -> silence = 0;
		    printf("lockd: has the lock\n") }
#ifndef NO_LOCK
	:: atomic { (!cut && !runs && lock == FREE && !for_good) -> lock = OURS; silence = 0;
		    printf("lockd: takes the lock again\n"); assert(!cut) }
	:: atomic { (!cut && !runs && lock == OURS && silence == 0 && !for_good) ->
#else
	:: atomic { (!cut && !runs && !for_good) -> silence = 0;
#endif
		    if
#ifdef NO_NOTE
		    :: true -> runs = true
#else
		    :: note -> runs = true
		    :: !note -> for_good = true; printf("lockd: another has had it\n")
#endif
		    fi;
		    if
		    :: runs -> printf("lockd: lets the guest go on\n");
			    assert(!written && silence == 0)
		    :: else
		    fi }
	od
}

#ifdef QUEUED
active proctype guest()
{
end:	do
	:: atomic { (runs && cut && !queued) -> queued = true; printf("guest: writes\n") }
	od
}
#endif

active proctype other()
{
end:	do
	:: atomic { lock == FREE -> lock = THEIRS; note = false; written = true; other_writes = true;
		    printf("other: locks the disk and writes\n"); assert(!runs) };
		atomic { other_writes = false; lock = FREE; printf("other: has ended\n") }
	od
}

#ifdef PROGRESS
ltl goes_on { [] ((!runs && note && [] !cut) -> <> (runs || !note)) }
#endif
