#include "setup/rules/ports.h"

#include <string.h>

const struct port_set web_ports = {2, {{80, 80}, {443, 443}}};

static void insert(struct port_set *set, size_t place, struct port_range range)
{
    if (set->count == PORT_SET_MAX)
        return;
    memmove(&set->ranges[place + 1], &set->ranges[place],
            (set->count - place) * sizeof(set->ranges[0]));
    set->ranges[place] = range;
    set->count++;
}

static void take_out(struct port_set *set, size_t place)
{
    set->count--;
    memmove(&set->ranges[place], &set->ranges[place + 1],
            (set->count - place) * sizeof(set->ranges[0]));
}

void port_set_add(struct port_set *set, struct port_range range)
{
    size_t place = 0;
    while (place < set->count && set->ranges[place].last + 1 < range.first)
        place++;
    /* The new range takes in those that it overlaps or touches. */
    while (place < set->count && set->ranges[place].first <= range.last + 1) {
        if (set->ranges[place].first < range.first)
            range.first = set->ranges[place].first;
        if (set->ranges[place].last > range.last)
            range.last = set->ranges[place].last;
        take_out(set, place);
    }
    insert(set, place, range);
}

bool port_is_in(const struct port_range *ranges, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    return false;
}

void port_set_redirected(const struct config *config, struct port_set *set)
{
    *set = web_ports;
    for (size_t i = 0; i < config->extra_ports.count; i++)
        port_set_add(set, config->extra_ports.ranges[i]);
}

bool ports_refuse_replies(const struct config *config)
{
    bool result = !config->other_traffic_allowed;
    for (size_t i = 0; i < config->extra_ports.count; i++)
        result = result || config->extra_ports.ranges[i].last > config->extra_ports.ranges[i].first;
    return result;
}
