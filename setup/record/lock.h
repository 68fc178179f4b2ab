#ifndef SETUP_RECORD_LOCK_H
#define SETUP_RECORD_LOCK_H

/* Locks the file of that name against other processes of the same user, for as long as the
 * descriptor that is returned is open. Others may write to the directory: what lies there under the
 * name counts only if nobody else can have opened it, and is replaced otherwise. Waits for so many
 * milliseconds at most. -1 with errno: EWOULDBLOCK if the time was not enough, ESTALE if somebody
 * takes the file away again and again. */
int own_lock(int directory, const char *name, int wait_ms);

#endif
