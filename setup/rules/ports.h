#ifndef SETUP_RULES_PORTS_H
#define SETUP_RULES_PORTS_H

#include "common/config/config.h"

enum { PORT_SET_MAX = CONFIG_LIST_MAX + 8 };

/* Ports as ranges that are sorted, and neither overlap nor touch. All zero: none. */
struct port_set {
    size_t count;
    struct port_range ranges[PORT_SET_MAX];
};

/* What does not fit is left out: there is room for a variable's items and a few more. */
void port_set_add(struct port_set *set, struct port_range range);
bool port_is_in(const struct port_range *ranges, size_t count, uint16_t port);

/* The ports that are redirected: 80, 443 and MITMPROXY_EXTRA_PORTS. */
void port_set_redirected(const struct config *config, struct port_set *set);

/* Always redirected. */
extern const struct port_set web_ports;

/* Are UDP ports refused by which nobody in the pod has asked for a service? */
bool ports_refuse_replies(const struct config *config);

#endif
