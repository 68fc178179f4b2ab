#ifndef COMMON_CONFIG_PARSERS_H
#define COMMON_CONFIG_PARSERS_H

/* Each parses one value, which is trimmed, not empty, without control characters and shorter than
 * CONFIG_VALUE_MAX. It fills the field, which is zero before, and returns NULL. If the value is
 * wrong it returns the reason, and the field is zero, or an empty list. */

const char *parse_switch(const char *value, void *field);       /* bool */
const char *parse_port(const char *value, void *field);         /* uint16_t */
const char *parse_path(const char *value, void *field);         /* char[PATH_MAX], absolute */
const char *parse_file(const char *value, void *field);         /* the same, but not in / */
const char *parse_program(const char *value, void *field);      /* char[PATH_MAX], path or name */
const char *parse_word_list(const char *value, void *field);    /* struct list, by "," */
const char *parse_path_list(const char *value, void *field);    /* struct list, by "," */
const char *parse_regex_list(const char *value, void *field);   /* struct list, by ";" */
const char *parse_set_list(const char *value, void *field);     /* struct list, by ";" */
const char *parse_user(const char *value, void *field);         /* struct user */
const char *parse_address(const char *value, void *field);      /* struct http_address */
const char *parse_level(const char *value, void *field);        /* enum log_level */
const char *parse_format(const char *value, void *field);       /* enum log_format */
const char *parse_port_list(const char *value, void *field);    /* struct port_list, by "," */
const char *parse_ports_or_all(const char *value, void *field); /* the same, or "all" */
const char *parse_uid_list(const char *value, void *field);     /* struct uid_list, by "," */
const char *parse_cidr_list(const char *value, void *field);    /* struct cidr_list, by "," */
const char *parse_ipv6(const char *value, void *field);         /* enum ipv6_mode */
const char *parse_permission(const char *value, void *field);   /* bool, true for allow */
const char *parse_non_http(const char *value, void *field);     /* enum non_http_mode */
const char *parse_no_name(const char *value, void *field);      /* bool, true for passthrough */
const char *parse_size(const char *value, void *field);         /* uint64_t, bytes */
const char *parse_seconds(const char *value, void *field);      /* unsigned int */
const char *parse_workers(const char *value, void *field);      /* unsigned int, 0 for auto */
const char *parse_backend(const char *value, void *field);      /* enum backend_choice */

#endif
