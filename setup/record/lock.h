#ifndef SETUP_RECORD_LOCK_H
#define SETUP_RECORD_LOCK_H

/* Locks the file of that name against other processes of the same user, for as long as the returned
 * descriptor is open. Others may write to the directory: a file of that name is used only if nobody
 * else can have opened it, and otherwise replaced. Waits at most wait_ms milliseconds. -1 with
 * errno: EWOULDBLOCK if the time was not enough, ESTALE if somebody takes the file away again and
 * again. */
int own_lock(int directory, const char *name, int wait_ms);

#endif
