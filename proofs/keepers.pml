/* Who has to keep a lock, so that it outlives lockd without systemd?
 *
 * The kernel unlocks a file that no process has open. The engine has it open, and so has the supervisor.
 * If one of the two is killed, the other makes it again. Meanwhile there is one less to be killed.
 *
 *   KILLS         how many kills may come before all is whole again
 *   THIRD         a third process keeps the descriptor, and does nothing else
 *   GUEST_KEEPS   the descriptor is in a message on the guest's own connection, behind the answer,
 *                 which one call of the system sends. QEMU has the connection, and reads nothing
 *                 from it, so the file is open until QEMU has ended
 *   TAKES_BACK    the next engine copies it from there
 *
 * Invariant: while the guest runs, no other process gets the lock; what was released is not locked.
 */

#ifndef KILLS
#define KILLS 1
#endif

mtype = { FREE, OURS, THEIRS };			/* who has the lock */
mtype = { IDLE, ASKS, RUNS, PAUSED };		/* the guest */

mtype lock = FREE;
mtype guest = IDLE;

bool engine_lives = true, supervisor_lives = true;
bool engine_has, supervisor_has, guest_has;	/* the file open */
bool believes;		/* the journal, which is lost with the last process of lockd */
byte left = KILLS;

#ifdef THIRD
bool third_lives = true, third_has;
#define nobody_lives (!engine_lives && !supervisor_lives && !third_lives)
#define whole (engine_lives && supervisor_lives && third_lives)
#define is_open (engine_has || supervisor_has || third_has || guest_has)
#else
#define nobody_lives (!engine_lives && !supervisor_lives)
#define whole (engine_lives && supervisor_lives)
#define is_open (engine_has || supervisor_has || guest_has)
#endif

inline closed()
{
	if
	:: (lock == OURS && !is_open) -> lock = FREE;
		printf("the kernel unlocks the file, which no process has open\n")
	:: else
	fi;
	if
	:: nobody_lives -> believes = false
	:: else
	fi
}

inline keep(it)
{
	supervisor_has = it && supervisor_lives;
#ifdef THIRD
	third_has = it && third_lives;
#endif
	believes = it
}

inline to_guest()
{
#ifdef GUEST_KEEPS
	guest_has = true; printf("guest: has the file in its connection\n")
#else
	skip
#endif
}

inline answer()
{
#ifdef GUEST_FIRST
	/* libvirt waits for the answer. It reads what comes before it, and closes what it gets. */
	to_guest(); guest_has = false;
#endif
	guest = RUNS; printf("guest: runs\n");
#if !defined(GUEST_FIRST) && !defined(TWO_CALLS)
	to_guest()
#endif
}

active proctype engine()
{
end:	do
	:: atomic { (engine_lives && guest == ASKS && !believes && lock == FREE) ->
		    lock = OURS; engine_has = true; printf("engine: locks the file\n"); keep(true) }
	:: atomic { (engine_lives && guest == ASKS && !believes && lock != FREE) ->
		    guest = IDLE; guest_has = false; printf("guest: is refused\n");
		    assert(lock != FREE); closed() }
	:: atomic { (engine_lives && guest == ASKS && believes) -> answer() }
#ifdef TWO_CALLS
	:: atomic { (engine_lives && guest == RUNS && believes && !guest_has) -> to_guest() }
#endif
	:: atomic { (engine_lives && believes && (guest == IDLE || guest == PAUSED)) ->
		    printf("engine: releases the lock\n"); keep(false); engine_has = false;
#ifndef CLOSE_ONLY
		    if :: lock == OURS -> lock = FREE :: else fi;
#endif
		    closed(); assert(lock != OURS) }
#ifdef TAKES_BACK
	:: atomic { (engine_lives && supervisor_lives && guest_has && lock == OURS && !believes) ->
		    printf("engine: has the file from the guest's connection\n");
		    engine_has = true; keep(true); assert(believes && supervisor_has) }
#endif
	od
}

/* Each makes the others again, with all that it has open. */
active proctype repair()
{
end:	do
	:: atomic { (!supervisor_lives && engine_lives) -> printf("engine: becomes the supervisor\n");
		    supervisor_lives = true; supervisor_has = engine_has;
		    engine_lives = false; engine_has = false }
	:: atomic { (!engine_lives && supervisor_lives) -> printf("supervisor: starts the engine\n");
		    engine_lives = true; engine_has = supervisor_has }
#ifdef THIRD
	:: atomic { (!third_lives && supervisor_lives) -> printf("supervisor: starts the third\n");
		    third_lives = true; third_has = supervisor_has }
	:: atomic { (third_lives && !supervisor_lives && !engine_lives) ->
		    printf("third: starts the supervisor\n");
		    supervisor_lives = true; supervisor_has = third_has }
#endif
	:: atomic { nobody_lives -> printf("a person starts lockd\n"); supervisor_lives = true }
	:: atomic { (whole && left < KILLS) -> printf("all is whole again\n"); left = KILLS }
	od
}

active proctype killer()
{
end:	do
	:: atomic { (left > 0 && engine_lives) -> left--; printf("engine: killed\n");
		    engine_lives = false; engine_has = false; closed() }
	:: atomic { (left > 0 && supervisor_lives) -> left--; printf("supervisor: killed\n");
		    supervisor_lives = false; supervisor_has = false; closed() }
#ifdef THIRD
	:: atomic { (left > 0 && third_lives) -> left--; printf("third: killed\n");
		    third_lives = false; third_has = false; closed() }
#endif
	od
}

active proctype libvirt()
{
end:	do
	:: atomic { (guest == IDLE && !believes) -> guest = ASKS; printf("guest: asks\n") }
	:: atomic { guest == RUNS -> guest = PAUSED; printf("guest: is paused\n") }
	:: atomic { (guest == PAUSED && !believes) -> guest = ASKS; printf("guest: asks again\n") }
	:: atomic { (guest == RUNS || guest == PAUSED) ->
		    printf("guest: has ended\n"); guest = IDLE; guest_has = false; closed() }
	od
}

/* Another host. */
active proctype other()
{
end:	do
	:: atomic { lock == FREE -> lock = THEIRS; printf("other: locks\n"); assert(guest != RUNS) };
		lock = FREE
	od
}

/* What the kernel sees to: who is dead has nothing open, and what no process has open is not locked. */
active proctype kernel()
{
end:	do
	:: atomic { ((engine_has && !engine_lives) || (supervisor_has && !supervisor_lives) ||
		     (guest_has && guest == IDLE) || (lock == OURS && !is_open)) -> assert(false) }
	od
}
