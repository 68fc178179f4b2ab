#ifndef HEALTHD_RUNNER_PROCESSORS_H
#define HEALTHD_RUNNER_PROCESSORS_H

/* Returns how many processors this container may use, at least 1: by its affinity, and by the limit
 * of its cgroup rounded up, where that can be read. */
unsigned int processors_usable(void);

#endif
