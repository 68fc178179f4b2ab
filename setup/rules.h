#ifndef SETUP_RULES_H
#define SETUP_RULES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/config.h"

/* The rules as data: what they are is here, how they get into the kernel is a backend's business.
 */

enum { RULE_PORTS_MAX = 15, RULES_MAX = 160 };

#define RULE_CHAIN "OPENSANDBOX_EGRESS"

enum verdict { VERDICT_RETURN, VERDICT_REDIRECT };

/* One rule; a member that is zero matches everything. */
struct rule {
    uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
    uint8_t port_count;
    uint16_t ports[RULE_PORTS_MAX]; /* destination ports */
    bool has_destination;
    uint8_t prefix;
    struct in6_addr destination; /* IPv4: its first four bytes */
    bool out_loopback;           /* leaves by the interface lo */
    bool has_owner;
    uid_t owner; /* of the sending socket */
    enum verdict verdict;
    uint16_t to_port; /* VERDICT_REDIRECT */
};

struct rule_list {
    int family; /* AF_INET or AF_INET6 */
    size_t count;
    struct rule rules[RULES_MAX];
};

/* Fills list with the nat rules of family, in their order. */
void rules_build(const struct config *config, int family, struct rule_list *list);

bool rule_equal(const struct rule *a, const struct rule *b);

/* Prints a rule in iptables-save's syntax, with newline. */
void rule_print(FILE *out, int family, const struct rule *rule);

#endif
