#include "setup/iptables/uid_map.h"

#include <stdio.h>

#include "common/config/user.h"

uid_t uid_map_last(void)
{
    /* Each line has the first id in here, the first one outside, and how many there are
     * (user_namespaces(7)). */
    unsigned int first, outside, count;
    uid_t last = 0;
    FILE *map = fopen("/proc/self/uid_map", "re");
    while (map != NULL && fscanf(map, "%u %u %u", &first, &outside, &count) == 3)
        if (first + (count - 1) > last)
            last = first + (count - 1);
    if (map != NULL)
        fclose(map);
    return last > 0 ? last : (uid_t)UID_NUMBER_MAX;
}
