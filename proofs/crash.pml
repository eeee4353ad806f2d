/* One lock through the crashes of the engine and of its keeper.
 *
 * The lock is an open-file-description lock: it is there as long as a process has the file open, or
 * until a process unlocks it. The engine has it open, and so has the keeper, which is systemd or the
 * supervisor of lockd. The journal is memory that outlives the engine. Either can be killed between
 * any two steps:
 *
 *   the engine   the keeper starts it again, and it reads the journal
 *   the keeper   the engine becomes a keeper, and the next engine is its child (KEEPER_DIES)
 *
 * The guest runs from the answer to its ACQUIRE until it ends, which closes its connection. The
 * engine notes an answer before it sends it. After a crash it sends a noted answer again, as it
 * is unknown whether it has arrived; a guest that has it reads no other. If no answer was noted, it hangs up. It
 * also hangs up when it is told to end; then it ends the guest.
 *
 * Invariant: while the guest writes, no other process gets the lock; and when the engine is at rest,
 * what it believes is what the kernel holds.
 * Progress:  a guest that asks is answered or disconnected.
 */

mtype = { FREE, OURS, THEIRS };		/* who has the lock */
mtype = { IDLE, ASKS, RUNS, ENDS };	/* the guest */
mtype = { NOTHING, GRANTED, REFUSED };	/* an answer */

mtype lock = FREE;
mtype guest = IDLE;

bool engine_has, keeper_has;	/* the file open */
bool journal_held;		/* what is written down */
bool believes;			/* what the engine has in memory */
bool request;			/* in the socket, which outlives the engine */
bool served;			/* the call that is being answered, as the journal tells, */
mtype noted = NOTHING;		/* and the answer to it */
bool connected;
bool other_writes;
bool killed;			/* the engine, at its next step */
bool keeper_lives = true;
bool engine_lives;

/* The kernel unlocks a file that no process has open. */
inline closed()
{
	if
	:: (lock == OURS && !engine_has && !keeper_has) -> lock = FREE;
		printf("the kernel unlocks the file, which no process has open\n")
	:: else
	fi
}

inline hang_up()
{
	d_step {
		connected = false; request = false;
		if
		:: guest == ASKS -> guest = IDLE	/* refused: it is not started */
		:: else
		fi;
		printf("engine: hangs up\n")
	}
}

inline keep()
{
	atomic {
		keeper_has = keeper_lives;
		if
		:: keeper_lives -> printf("keeper: has the file\n")
		:: else
		fi
	}
}

inline write_down(what)
{
	atomic {
		journal_held = what;
		if
		:: what -> printf("journal: held\n")
		:: else -> printf("journal: released\n")
		fi
	}
}

inline release()
{
#ifdef UNLOCK_FIRST
	atomic { if :: lock == OURS -> lock = FREE :: else fi;
		 printf("engine: unlocks the file\n") };
	write_down(false);
#else
	write_down(false);
	atomic { if :: lock == OURS -> lock = FREE :: else fi;
		 printf("engine: unlocks the file\n") };
#endif
	believes = false;
	keeper_has = false;
	atomic { engine_has = false; closed() }
}

inline end_guest()
{
	atomic {
		if
		:: guest == RUNS -> guest = IDLE; printf("engine: ends the guest\n")
		:: else
		fi
	}
}

inline send(what)
{
	atomic {
		if
		:: (guest == ASKS && what == GRANTED) -> guest = RUNS; printf("guest: runs\n")
		:: (guest == ASKS && what == REFUSED) -> guest = IDLE; connected = false
		:: else
		fi
	}
}

inline answer(what)
{
#ifndef NOT_NOTED
	noted = what;
#endif
	send(what)
}

inline recover()
{
	/* It is born with all that the keeper has open. */
	atomic { engine_lives = true; killed = false; believes = false; engine_has = keeper_has;
		 printf("engine: starts\n") };
	if
	:: journal_held ->
		/* It is written down, so it is kept, and so it is locked. */
		atomic { assert(engine_has && lock == OURS); believes = true;
			 printf("engine: has the lock\n") }
	:: (!journal_held && engine_has) ->
		/* Kept and not written down: no client has been answered. */
#ifndef KEEP_LEFTOVERS
		atomic { if :: lock == OURS -> lock = FREE :: else fi;
			 printf("engine: unlocks what is not written down\n") };
		keeper_has = false;
		engine_has = false
#else
		skip
#endif
	:: else
	fi;
	if
#ifndef NO_HANG_UP
	:: (served && noted == NOTHING) -> atomic { assert(guest != RUNS); hang_up(); served = false }
#endif
	:: (served && noted != NOTHING) -> printf("engine: answers again\n");
		send(noted);
		atomic { served = false; noted = NOTHING }
	:: else
	fi
}

inline serve()
{
	do
	:: atomic { (request && guest == ASKS && !served) -> request = false; served = true };
		if
		:: atomic { lock == FREE -> lock = OURS; engine_has = true;
			    printf("engine: locks the file\n") };
#ifdef ANSWER_FIRST
			answer(GRANTED);
#endif
#ifndef NOT_KEPT
#ifdef JOURNAL_FIRST
			write_down(true);
			keep();
#else
			keep();
			write_down(true);
#endif
#else
			write_down(true);
#endif
			believes = true;
			answer(GRANTED)
		:: lock == THEIRS -> answer(REFUSED)
		:: (lock == OURS) -> answer(REFUSED)	/* left over: never */
		fi;
		atomic { served = false; noted = NOTHING }
	:: atomic { (believes && connected && guest == RUNS) -> connected = false;
		    printf("engine: hangs up, as it is told to end\n") }
	:: atomic { (believes && !connected) -> skip };
		/* The guest has ended, or it is ended first. */
#ifdef RELEASE_BEFORE_END
		release();
		end_guest()
#else
		end_guest();
		release()
#endif
	:: (!request && !served && connected == believes && !(guest == ASKS)) ->
		/* At rest. */
		assert(believes == (lock == OURS) && believes == journal_held);
		assert(believes || !keeper_has)
end:		if
		:: request || (believes && !connected)
		fi
	od
}

active proctype engine()
{
start:	{ recover(); serve() }
	unless {
		atomic { killed -> killed = false; engine_lives = false; engine_has = false;
			 believes = false; printf("engine: killed\n"); closed() }
	}
	keeper_lives -> goto start
}

#ifdef SECOND_KILL
#define may_be_killed (engine_lives && !killed)
#else
#define may_be_killed (engine_lives && !killed && keeper_lives)
#endif

active proctype killer()
{
#ifdef PROGRESS
	byte left = 2;		/* without an end to the kills no call is answered */
end:	do
	:: atomic { (may_be_killed && left > 0) -> killed = true; left-- }
#else
end:	do
	:: atomic { may_be_killed -> killed = true }
#endif
	od
}

#ifdef KEEPER_DIES
active proctype keeper()
{
end:	do
	:: atomic { (keeper_lives && engine_lives && !killed) ->
		    keeper_lives = false; keeper_has = false; printf("keeper: killed\n"); closed() }
	:: atomic { (!keeper_lives && engine_lives && !killed) ->
		    /* The engine becomes the keeper, with all that it has open, and starts another. */
		    keeper_lives = true; keeper_has = engine_has; killed = true;
		    printf("engine: becomes the keeper\n") }
	od
}
#endif

active proctype libvirt()
{
end:	do
	:: atomic { guest == IDLE -> connected = true; guest = ASKS; request = true;
		    printf("guest: asks\n") };
		guest != ASKS
	:: atomic { guest == RUNS -> guest = ENDS; printf("guest: has ended\n") };
		atomic { connected = false; guest = IDLE; printf("guest: its connection is closed\n") };
		/* The engine sees the end of the connection before it takes the next one. */
		!believes && !journal_held
	od
}

/* Another host. */
active proctype other()
{
end:	do
	:: atomic { lock == FREE -> lock = THEIRS; other_writes = true; printf("other: locks\n");
		    assert(guest != RUNS) };
		atomic { other_writes = false; lock = FREE }
	od
}

/* What the kernel sees to: who is dead has nothing open, and what no process has open is not locked. */
active proctype kernel()
{
end:	do
	:: atomic { ((engine_has && !engine_lives) || (keeper_has && !keeper_lives) ||
		     (lock == OURS && !engine_has && !keeper_has)) -> assert(false) }
	od
}

#ifdef PROGRESS
ltl answered { [] (guest == ASKS -> <> (guest != ASKS)) }
#endif
