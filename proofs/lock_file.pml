/* Who may hold the lock of one file on a file system that hosts share.
 *
 * The server knows which file has the name and who has locked which file. A host may remember the
 * file that it last found at the name: its answers from this cache may be old, for as long as they
 * like. That is more than NFS and GlusterFS do; so what holds here holds there.
 *
 *   open     takes the file from the cache, or asks the server, which makes it if there is none
 *   lock     goes to the server, which locks the file even if its name is gone: a process may have
 *            it open, and NFS renames a file that the removing host has open
 *   look     is the file that was locked still the one of that name?
 *
 * lockd asks the server in the last step and never removes the file. virtlockd asks stat(2), which
 * may answer from the cache, and removes the file before it unlocks it.
 *
 * Invariant: a holder that has it exclusively is the only holder.
 * Progress:  every call of lockd is answered.
 */

#ifndef HOSTS
#define HOSTS 3			/* of which the last VIRTLOCKDS run virtlockd */
#endif
#ifndef VIRTLOCKDS
#define VIRTLOCKDS 0
#endif

#define FILES (2 * HOSTS + 2)	/* so many can be open, in a cache or at the name, and one more */
#define NONE 0

byte named = NONE;		/* the file of that name */
byte exclusive[FILES];		/* who has locked a file, as host + 1 */
byte sharers[FILES];		/* how many hosts have locked it shared */
byte cache[HOSTS];		/* the file that a host believes to be at the name */
byte opened[HOSTS];		/* the file that a host has open */
byte writers, readers;		/* hosts that hold it, exclusively and shared */
bool calling[HOSTS];

/* Whether a run of the real lockd is a run of this model: trace.h is made from its calls of the
 * system, and has LENGTH, the number of steps, and expected[], the steps. Each step that they tell of
 * has to be the next of them; what a cache does, they do not tell.
 */
#ifdef TRACE
#define OPEN 1
#define LOCK 2
#define SHARE 3
#define GONE 4
#define REFUSED 5
#define SAME 6
#define OTHER 7
#define HOLD 8
#define UNLOCK 9
#include "trace.h"
byte at;
#define is_next(what) (at < LENGTH && expected[at] == 16 * me + what)
#define done at++;
#define await(what) is_next(what) -> at++;
active proctype end_of_the_trace()
{
end:	atomic { at == LENGTH -> assert(at != LENGTH) }
}
#else
#define is_next(what) true
#define done
#define await(what)
#endif

#define is_free(file) (exclusive[file] == 0 && sharers[file] == 0)

#define knows(host, file) (cache[host] == file || opened[host] == file)
#if HOSTS == 1
#define anybody_knows(file) (knows(0, file))
#elif HOSTS == 2
#define anybody_knows(file) (knows(0, file) || knows(1, file))
#else
#define anybody_knows(file) (knows(0, file) || knows(1, file) || knows(2, file))
#endif

/* A file that no host knows of. One that is gone for good may come back as another one. */
inline new_file(file)
{
	d_step {
		file = 1;
		do
		:: (file == named || anybody_knows(file)) -> file++
		:: else -> break
		od
	}
}

inline open_file()
{
	if
	:: atomic { is_next(OPEN) && cache[me] != NONE -> done opened[me] = cache[me];
		    printf("%d opens file %d, from its cache\n", me, opened[me]) }
	:: atomic { is_next(OPEN) && named != NONE -> done opened[me] = named; cache[me] = named;
		    printf("%d opens file %d\n", me, opened[me]) }
	:: atomic { is_next(OPEN) && named == NONE -> done new_file(found); named = found;
		    opened[me] = found; cache[me] = found; found = NONE;
		    printf("%d makes file %d\n", me, opened[me]) }
	fi
}

inline unlock()
{
	atomic {
		await(UNLOCK)
		if
		:: shared -> sharers[opened[me]]--
		:: else -> exclusive[opened[me]] = 0
		fi;
		printf("%d unlocks file %d\n", me, opened[me]);
		opened[me] = NONE
	}
}

/* The host asks the server which file has the name. */
inline look_up()
{
	atomic { cache[me] = named }
}

inline hold()
{
	atomic {
		await(HOLD)
		if
		:: shared -> readers++
		:: else -> writers++
		fi;
		calling[me] = false;
		printf("%d holds the lock, by file %d\n", me, opened[me]);
		assert(writers == 0 || (writers == 1 && readers == 0))
	}
	atomic {
		if
		:: shared -> readers--
		:: else -> writers--
		fi
	}
}

proctype lockd(byte me)
{
	byte found;
	bool shared;
again:	atomic { shared = false; calling[me] = true }
#ifdef SHARED
	if
	:: shared = true
	:: skip
	fi;
#endif
retry:	open_file();
	if
	:: atomic { is_next(GONE) && named != opened[me] -> done	/* ESTALE: the server knows no such file */
		opened[me] = NONE; printf("%d: it is gone\n", me) };
#ifndef NO_LOOK_UP
		look_up();
#endif
		goto retry
	:: atomic { is_next(SHARE) && (shared && exclusive[opened[me]] == 0) -> done sharers[opened[me]]++ }
	:: atomic { is_next(LOCK) && (!shared && is_free(opened[me])) -> done exclusive[opened[me]] = me + 1 }
	:: atomic { is_next(REFUSED) && (exclusive[opened[me]] || (!shared && !is_free(opened[me]))) ->
		done opened[me] = NONE; calling[me] = false };	/* refused */
		goto again
	fi;
	printf("%d locks file %d\n", me, opened[me]);
	if
#ifdef NO_RECHECK
	:: skip
#else
#ifdef RECHECK_FROM_CACHE
	:: cache[me] == opened[me] -> skip
#endif
	:: is_next(SAME) && named == opened[me] -> done look_up()
	:: is_next(OTHER) && named != opened[me] -> done unlock();
#ifndef NO_LOOK_UP
		look_up();
#endif
		goto retry
#endif
	fi;
	hold();
#ifdef UNLINK_FIRST
	atomic { named = NONE; cache[me] = NONE; printf("%d removes the file\n", me) };
#endif
#ifdef UNLINK_AFTERWARDS
	unlock();
	atomic { named = NONE; cache[me] = NONE; printf("%d removes the file\n", me) };
#else
	unlock();
#endif
	goto again
}

proctype virtlockd(byte me)
{
	byte found;
	bool shared;
again:	shared = false;
#ifdef SHARED
	if
	:: shared = true
	:: skip
	fi;
#endif
retry:	open_file();
	if
	:: atomic { named != opened[me] -> opened[me] = NONE; cache[me] = NONE };
		goto again	/* ESTALE: an error */
	:: atomic { (shared && exclusive[opened[me]] == 0) -> sharers[opened[me]]++ }
	:: atomic { (!shared && is_free(opened[me])) -> exclusive[opened[me]] = me + 1 }
	:: atomic { (exclusive[opened[me]] || (!shared && !is_free(opened[me]))) ->
		opened[me] = NONE };
		goto again
	fi;
	printf("%d locks file %d\n", me, opened[me]);
	if
	:: cache[me] == opened[me] -> printf("%d: the name has it, by the cache\n", me)
	:: named == opened[me] -> look_up()
	:: named != opened[me] -> unlock(); look_up(); goto retry
	fi;
	hold();
	/* Of a shared lock it makes an exclusive one first; others that have it prevent that. */
	if
	:: atomic { (shared && sharers[opened[me]] > 1) -> goto left }
	:: atomic { (shared && sharers[opened[me]] == 1) ->
		sharers[opened[me]] = 0; exclusive[opened[me]] = me + 1; shared = false }
	:: !shared -> skip
	fi;
	atomic { named = NONE; cache[me] = NONE; printf("%d removes the file\n", me) };
left:	unlock();
	goto again
}

#ifndef STALE
/* What a host remembers may run out at any time. */
active proctype expiry()
{
end:	do
	:: cache[0] = NONE
#if HOSTS > 1
	:: cache[1] = NONE
#endif
#if HOSTS > 2
	:: cache[2] = NONE
#endif
	od
}
#endif

init {
	byte host;
	atomic {
#ifdef STALE
		/* All remember a file that has been removed. */
		for (host : 0 .. HOSTS - 1) { cache[host] = 1 };
#endif
		for (host : 0 .. HOSTS - 1) {
			if
			:: host < HOSTS - VIRTLOCKDS -> run lockd(host)
			:: else -> run virtlockd(host)
			fi
		}
	}
}

#ifdef PROGRESS
ltl answered { [] (calling[0] -> <> !calling[0]) }
#endif
