#include "healthd/runner/processors.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

/* Reads up to two numbers of a file of the cgroup, and returns how many there were. */
static int read_numbers(const char *path, int64_t numbers[static 2])
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    int found = fscanf(file, "%" SCNd64 " %" SCNd64, &numbers[0], &numbers[1]);
    fclose(file);
    return found;
}

/* The limit as a number of processors, 0 for none. In a container its own cgroup is the root of
 * what it sees. Version 2 has quota and period in one file, "max" for no quota; version 1 in two,
 * -1 for no quota (Documentation/admin-guide/cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst).
 */
static unsigned int cgroup_limit(void)
{
    int64_t limit[2] = {0, 0}, period[2] = {0, 0};
    if (read_numbers("/sys/fs/cgroup/cpu.max", limit) != 2) {
        read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", limit);
        read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period);
        limit[1] = period[0];
    }
    return limit[0] > 0 && limit[1] > 0 ? (unsigned int)((limit[0] + limit[1] - 1) / limit[1]) : 0;
}

unsigned int processors_usable(void)
{
    cpu_set_t set;
    unsigned int count = 1, limit = cgroup_limit();
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        count = (unsigned int)CPU_COUNT(&set);
    if (limit > 0 && limit < count)
        count = limit;
    return count > 0 ? count : 1;
}
